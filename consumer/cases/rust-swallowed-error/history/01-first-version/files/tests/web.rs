use std::collections::HashMap;

use stock::levels::Levels;
use stock::warehouse::{Fault, Warehouse};
use stock::web::handle;

struct Shelf(HashMap<&'static str, u32>);

impl Warehouse for Shelf {
    fn name(&self) -> &str {
        "shelf"
    }

    fn count(&self, sku: &str) -> Result<u32, Fault> {
        self.0.get(sku).copied().ok_or(Fault::Unknown)
    }
}

fn levels() -> Levels {
    let north = Shelf(HashMap::from([("lamp", 10), ("rug", 1)]));
    let south = Shelf(HashMap::from([("lamp", 5)]));
    Levels::new(vec![Box::new(north), Box::new(south)], 2)
}

#[test]
fn adds_up_what_warehouses_can_spare() {
    assert_eq!(
        handle(&levels(), "/levels/lamp").body,
        r#"{"sku":"lamp","level":11}"#
    );
    assert_eq!(
        handle(&levels(), "/levels/rug").body,
        r#"{"sku":"rug","level":0}"#
    );
}

#[test]
fn a_product_that_nobody_keeps_is_unknown() {
    assert_eq!(handle(&levels(), "/levels/sofa").status, 404);
}

#[test]
fn answers_for_many() {
    assert_eq!(
        handle(&levels(), "/levels?skus=lamp,sofa,rug").body,
        r#"{"lamp":11,"rug":0}"#
    );
}

#[test]
fn refuses_nonsense() {
    assert_eq!(handle(&levels(), "/levels/").status, 400);
    assert_eq!(handle(&levels(), "/levels?skus=a,,b").status, 400);
    assert_eq!(handle(&levels(), "/other").status, 404);
}
