use banners::conf::Conf;
use banners::{Banners, Source};

struct Cms;

impl Source for Cms {
    fn load(&self, page: &str) -> Result<Vec<String>, String> {
        Ok(vec![format!("sale on {page}")])
    }
}

#[test]
fn a_page_has_its_banners() {
    let mut banners = Banners::new(Cms, &Conf::load("etc/banners.properties").unwrap());
    assert_eq!(banners.of("home", 0), Ok(vec!["sale on home".to_string()]));
}
