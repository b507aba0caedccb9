//! What is found in one file of each language.

use backtrail_code::{Language, Parsed, TestKind, parse};

fn fixture(name: &str) -> Parsed {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("the fixture is in the repository");
    let parsed = parse(Language::of_path(name).expect("a known extension"), text).expect("the fixture parses");
    assert_eq!(parsed.errors(), [], "{name} has no syntax error");
    parsed
}

/// `qualified lines [+ if public]` of every function.
fn outline(parsed: &Parsed) -> Vec<String> {
    let line = |f: &backtrail_code::Function| {
        let test = match f.test {
            Some(TestKind::Unit) => " unit",
            Some(TestKind::Property) => " property",
            None => "",
        };
        format!("{}{} {}-{}{test}", if f.public { "+" } else { "-" }, f.qualified, f.start_line, f.end_line)
    };
    parsed.functions().iter().map(line).collect()
}

fn routes(parsed: &Parsed) -> Vec<String> {
    let line = |r: &backtrail_code::Route| {
        let handler = r.function.map_or_else(|| format!("?{}", r.handler), |f| parsed.functions()[f].qualified.clone());
        format!("{} {} {handler}", r.method.as_deref().unwrap_or("ANY"), r.route)
    };
    parsed.routes().iter().map(line).collect()
}

fn calls(parsed: &Parsed, caller: &str) -> Vec<String> {
    let of_caller =
        |call: &&backtrail_code::Call| call.caller.is_some_and(|place| parsed.functions()[place].qualified == caller);
    parsed.calls().iter().filter(of_caller).map(|call| call.callee.clone()).collect()
}

fn parameters(parsed: &Parsed, qualified: &str) -> Vec<String> {
    let function =
        parsed.functions().iter().find(|f| f.qualified == qualified).expect("the function is in the fixture");
    let line = |p: &backtrail_code::Parameter| {
        let marks = [(p.optional, "?"), (p.variadic, "*"), (p.keyword_only, "=")];
        let marks: String = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
        format!("{}{marks}:{}", p.name, p.kind.as_deref().unwrap_or("-"))
    };
    function.parameters.iter().map(line).collect()
}

#[test]
fn python_functions_routes_and_tests_are_found() {
    let parsed = fixture("payments.py");
    assert_eq!(
        outline(&parsed),
        [
            "+Charge.describe 25-26",
            "+BankAdapter.__init__ 30-32",
            "+BankAdapter.charge 34-40",
            "-BankAdapter._post 42-45",
            "+backoff 48-52",
            "-backoff.jitter 49-50",
            "+pay 55-57",
            "+health 60-62",
            "+test_describe_prints_euros 65-66 unit",
            "+test_backoff_stays_under_the_cap 69-71 property",
        ]
    );
    assert_eq!(routes(&parsed), ["POST /payments/{order_id} pay", "GET /health health", "HEAD /health health"]);
    assert_eq!(
        calls(&parsed, "BankAdapter.charge"),
        ["range", "self._post", "asyncio.sleep", "backoff", "BankError", "charge.describe"]
    );
    assert_eq!(parameters(&parsed, "backoff"), ["attempt:int", "base?:float", "rest?*:-", "cap?=:float", "extra?*=:-"]);
    assert_eq!(parameters(&parsed, "Charge.describe"), ["self:-", "currency?=:str"]);
}

#[test]
fn go_functions_routes_and_tests_are_found() {
    let parsed = fixture("orders.go");
    assert_eq!(
        outline(&parsed),
        [
            "+(*Server).Create 19-25",
            "+Store.Len 27-27",
            "-total 29-35",
            "+Routes 37-45",
            "-Routes.GET_HEALTH 41-43",
            "-TestTotal 47-51 unit",
            "-TestTotalCommutes 53-58 property",
            "-FuzzTotal 60-62 property",
        ]
        .map(|line| line.replace("GET_HEALTH", "ANY /health"))
    );
    assert_eq!(
        routes(&parsed),
        ["POST /orders (*Server).Create", "ANY /legacy (*Server).Create", "ANY /health Routes.ANY /health"]
    );
    assert_eq!(parameters(&parsed, "total"), ["a:int", "b:int", "more?*:int"]);
    let create = &parsed.functions()[0];
    assert_eq!((create.holder.as_deref(), create.namespace.as_deref()), (Some("Server"), Some("orders")));
    assert!(calls(&parsed, "(*Server).Create").contains(&"total".to_owned()));
}

#[test]
fn java_functions_routes_and_tests_are_found() {
    let parsed = fixture("InventoryController.java");
    assert_eq!(
        outline(&parsed),
        [
            "+InventoryController.InventoryController 13-15",
            "+InventoryController.find 17-20",
            "+InventoryController.reserve 22-26",
            "-InventoryController.check 28-32",
            "-InventoryController.StockService.find 35-35",
            "-InventoryController.StockService.reserve 37-37",
            "-InventoryController.Tests.refusesNothing 41-44 unit",
            "-InventoryController.Tests.countsStayPositive 46-49 property",
        ]
    );
    assert_eq!(
        routes(&parsed),
        ["GET /inventory/{sku} InventoryController.find", "POST /inventory/reserve InventoryController.reserve"]
    );
    assert_eq!(parsed.functions()[0].namespace.as_deref(), Some("com.shop.inventory"));
    assert_eq!(parameters(&parsed, "InventoryController.reserve"), ["reservation:Reservation", "tags?*:String"]);
    assert!(calls(&parsed, "InventoryController.find").contains(&"stock.find".to_owned()));
}

#[test]
fn rust_functions_routes_and_tests_are_found() {
    let parsed = fixture("ledger.rs");
    assert_eq!(
        outline(&parsed),
        [
            "+Ledger::book 15-20",
            "-Ledger::total 22-24",
            "-Ledger::fmt 28-30",
            "-checked 33-35",
            "+Audit::audit 38-38",
            "-show 41-43",
            "-clear 45-45",
            "+router 47-49",
            "+render 52-54",
            "-booking_twice_adds_up 61-66 unit",
            "-shows_zero 68-71 unit",
            "-adding_commutes 74-77 property",
        ]
    );
    let found = routes(&parsed);
    assert_eq!(found.len(), 3, "{found:?}");
    for expected in ["GET /ledger show", "DELETE /ledger clear", "GET /audit show"] {
        assert!(found.contains(&expected.to_owned()), "{found:?}");
    }
    assert_eq!(calls(&parsed, "adding_commutes"), ["checked", "super::checked"]);
    assert_eq!(calls(&parsed, "booking_twice_adds_up"), ["Ledger::default", "ledger.book", "ledger.book"]);
    assert_eq!(parsed.functions()[8].namespace.as_deref(), Some("helpers"));
    assert_eq!(parameters(&parsed, "Ledger::book"), ["self:&mut self", "account:&str", "cents:i64"]);
}

#[test]
fn typescript_functions_routes_and_tests_are_found() {
    let parsed = fixture("gateway.ts");
    assert_eq!(
        outline(&parsed),
        [
            "+Quote.total 5-5",
            "+QuoteController.constructor 12-12",
            "+QuoteController.find 14-17",
            "+QuoteController.create 19-22",
            "-QuoteController.round 24-26",
            "+QuoteController.refresh 28-30",
            "+roundTo 33-36",
            "-hidden 38-40",
            "-rounding.keeps whole numbers 43-45 unit",
            "-rounding.is idempotent 47-49 property",
        ]
    );
    assert_eq!(routes(&parsed), ["GET /quotes/:id QuoteController.find", "POST /quotes QuoteController.create"]);
    assert_eq!(parameters(&parsed, "roundTo"), ["value:number", "digits?:number", "rest?*:number[]"]);
}

#[test]
fn javascript_functions_and_routes_are_found_and_clients_are_no_routes() {
    let parsed = fixture("server.js");
    assert_eq!(
        outline(&parsed),
        [
            "-guard 9-11",
            "+listOrders 13-16",
            "-options 18-20",
            "-POST /orders/:id/pay 23-26",
            "+Cart.add 31-33",
            "-Cart._recount 34-34",
            "-healthy 37-39",
            "+version 42-44",
        ]
    );
    let found = routes(&parsed);
    assert_eq!(found.len(), 4, "{found:?}");
    for expected in [
        "GET /orders listOrders",
        "POST /orders/:id/pay POST /orders/:id/pay",
        "GET /health healthy",
        "HEAD /health healthy",
    ] {
        assert!(found.contains(&expected.to_owned()), "{found:?}");
    }
    assert_eq!(parameters(&parsed, "options"), ["{ timeout = 100 }?:-", "retries?:-"]);
}

#[test]
fn csharp_functions_routes_and_tests_are_found() {
    let parsed = fixture("ShippingController.cs");
    assert_eq!(
        outline(&parsed),
        [
            "+ShippingController.ShippingController 15-15",
            "+ShippingController.Find 17-21",
            "+ShippingController.Create 23-28",
            "-ShippingController.Weigh 30-34",
            "-ShippingController.Weigh.Clamp 32-32",
            "-ShippingController.WeighsNothing 36-37 unit",
            "-ShippingController.NeverNegative 39-40 property",
            "+ICarrier.LabelAsync 45-45",
            "+Startup.Map 50-54",
            "-Startup.Map.GET /ready 52-52",
            "-Startup.Print 56-56",
        ]
    );
    assert_eq!(
        routes(&parsed),
        [
            "GET /api/shipping/{id} ShippingController.Find",
            "POST /api/shipping ShippingController.Create",
            "GET /ready Startup.Map.GET /ready",
            "POST /labels Startup.Print",
        ]
    );
    assert_eq!(parsed.functions()[0].namespace.as_deref(), Some("Shop.Shipping"));
    assert_eq!(parameters(&parsed, "ShippingController.Find"), ["id:string", "full?:bool"]);
}

#[test]
fn syntax_errors_tell_line_and_column() {
    let parsed = parse(Language::Python, "x = 1\ndef f(:\n    pass\n").expect("a broken file still parses");
    assert_eq!(parsed.errors()[0].line, 2, "{:?}", parsed.errors());
    assert!(!parsed.errors()[0].message.is_empty());
}

#[test]
fn the_innermost_function_of_a_line_is_found_with_its_node() {
    let parsed = fixture("payments.py");
    let jitter = parsed.function_at(50).expect("line 50 is in jitter");
    assert_eq!(parsed.functions()[jitter].qualified, "backoff.jitter");
    assert_eq!(parsed.node_of(jitter).map(|node| node.kind()), Some("function_definition"));
    assert_eq!(parsed.function_at(12), None);
}
