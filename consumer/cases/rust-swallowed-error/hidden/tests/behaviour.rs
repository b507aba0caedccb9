//! A level that is not known must never look like "sold out".

use stock::levels::Levels;
use stock::warehouse::{Fault, Warehouse};
use stock::web::handle;

/// What a warehouse says to everything.
struct Says(Result<u32, Fault>);

impl Warehouse for Says {
    fn name(&self) -> &str {
        "says"
    }

    fn count(&self, sku: &str) -> Result<u32, Fault> {
        // One product is known everywhere, whatever happens to the others.
        if sku == "lamp" {
            Ok(5)
        } else {
            self.0.clone()
        }
    }
}

fn levels(answers: &[Result<u32, Fault>]) -> Levels {
    let warehouse = |answer: &Result<u32, Fault>| Box::new(Says(answer.clone())) as Box<dyn Warehouse>;
    Levels::new(answers.iter().map(warehouse).collect(), 2)
}

fn down() -> Result<u32, Fault> {
    Err(Fault::Unavailable("timed out".into()))
}

#[test]
fn a_level_is_not_known_while_all_warehouses_are_silent() {
    let answer = handle(&levels(&[down(), down()]), "/levels/rug");
    assert!(answer.status >= 500, "{answer:?}");
}

#[test]
fn an_empty_warehouse_beside_a_silent_one_is_not_sold_out() {
    for answers in [[Ok(0), down()], [down(), Ok(1)], [down(), Err(Fault::Unknown)], [Err(Fault::Unknown), down()]] {
        let answer = handle(&levels(&answers), "/levels/rug");
        assert!(answer.status >= 500, "{answers:?}: {answer:?}");
    }
}

#[test]
fn a_list_does_not_call_it_sold_out_either() {
    let answer = handle(&levels(&[down(), down()]), "/levels?skus=lamp,rug");
    assert!(!answer.body.contains(r#""rug":0"#), "{answer:?}");
    assert!(answer.status >= 500 || answer.body.contains(r#""lamp":6"#), "{answer:?}");
}

#[test]
fn what_is_known_is_still_said() {
    let both = levels(&[Ok(10), Ok(1)]);
    assert_eq!(handle(&both, "/levels/rug").body, r#"{"sku":"rug","level":8}"#);
    let empty = levels(&[Ok(0), Err(Fault::Unknown)]);
    assert_eq!(handle(&empty, "/levels/rug").body, r#"{"sku":"rug","level":0}"#);
    assert_eq!(handle(&levels(&[Err(Fault::Unknown), Err(Fault::Unknown)]), "/levels/rug").status, 404);
    assert_eq!(handle(&levels(&[Ok(3), Ok(3)]), "/levels?skus=lamp,rug").body, r#"{"lamp":6,"rug":2}"#);
}
