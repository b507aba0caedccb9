//! Names, callers and impact over several files.

use backtrail_code::{Certainty, FunctionId, Index, IndexLimits, Resolution};

fn index(files: &[(&str, &str)]) -> Index {
    Index::build(IndexLimits::default(), files.iter().map(|(path, text)| (*path, *text)))
}

fn fixtures() -> Index {
    let read = |name: &str| {
        let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).expect("the fixture is in the repository")
    };
    let files = [
        ("src/payments/bank.py", "payments.py"),
        ("internal/orders/server.go", "orders.go"),
        ("src/main/java/com/shop/inventory/InventoryController.java", "InventoryController.java"),
        ("crates/shop/src/ledger.rs", "ledger.rs"),
        ("web/src/gateway.ts", "gateway.ts"),
        ("web/server.js", "server.js"),
        ("Shipping/ShippingController.cs", "ShippingController.cs"),
    ];
    Index::build(IndexLimits::default(), files.map(|(path, name)| (path, read(name))))
}

fn named(index: &Index, name: &str) -> String {
    match index.named(name) {
        Resolution::One(id) => index.function(id).expect("an id of this index").qualified.clone(),
        Resolution::Ambiguous(ids) => format!("{} meanings", ids.len()),
        Resolution::Missing => "missing".to_owned(),
    }
}

fn labels(index: &Index, callers: &[backtrail_code::Caller]) -> Vec<String> {
    callers.iter().map(|caller| index.label(caller.function)).collect()
}

fn one(index: &Index, name: &str) -> FunctionId {
    index.named(name).one().expect("the name is certain")
}

#[test]
fn names_of_every_convention_are_resolved() {
    let index = fixtures();
    for (name, expected) in [
        ("payments.bank.BankAdapter.charge", "BankAdapter.charge"),
        ("src.payments.bank.backoff", "backoff"),
        ("payments.bank.backoff.<locals>.jitter", "backoff.jitter"),
        ("BankAdapter.charge", "BankAdapter.charge"),
        ("_post", "BankAdapter._post"),
        ("bank.BankAdapter", "BankAdapter.__init__"),
        ("github.com/x/shop/internal/orders.(*Server).Create", "(*Server).Create"),
        ("github.com/x/shop/internal/orders.Store[...].Len", "Store.Len"),
        ("orders.Routes.func1", "Routes"),
        ("com.shop.inventory.InventoryController.find", "InventoryController.find"),
        ("com.shop.inventory.InventoryController.lambda$find$0", "InventoryController.find"),
        ("com.shop.inventory.InventoryController$StockService.reserve", "InventoryController.StockService.reserve"),
        ("com.shop.inventory.InventoryController.<init>", "InventoryController.InventoryController"),
        ("shop::ledger::checked", "checked"),
        ("crate::ledger::Ledger::book", "Ledger::book"),
        ("<shop::ledger::Ledger as core::fmt::Display>::fmt", "Ledger::fmt"),
        ("shop::ledger::helpers::render::h0123456789abcdef", "render"),
        ("shop::ledger::show::{{closure}}", "show"),
        ("Shop.Shipping.ShippingController.Find", "ShippingController.Find"),
        ("Shop.Shipping.ShippingController+<Find>d__2.MoveNext", "ShippingController.Find"),
        ("QuoteController.find", "QuoteController.find"),
        ("gateway.roundTo", "roundTo"),
    ] {
        assert_eq!(named(&index, name), expected, "{name}");
    }
}

#[test]
fn names_of_libraries_are_not_taken_for_ours() {
    let index = fixtures();
    for name in
        ["json.charge", "requests.api.BankAdapter.charge", "org.other.InventoryController.find", "Other.find", ""]
    {
        assert_eq!(named(&index, name), "missing", "{name}");
    }
}

#[test]
fn a_plain_name_with_two_meanings_is_ambiguous() {
    let index = index(&[("a.py", "def run(): pass\n"), ("b.py", "class B:\n    def run(self): pass\n")]);
    assert_eq!(named(&index, "run"), "2 meanings");
    assert_eq!(named(&index, "a.run"), "run");
    assert_eq!(named(&index, "b.B.run"), "B.run");
}

#[test]
fn callers_are_followed_through_files_with_their_certainty() {
    let index = index(&[
        ("shop/bank.py", "class Bank:\n    def charge(self):\n        return self._post()\n    def _post(self): ...\n"),
        ("shop/pay.py", "def pay(bank):\n    bank.charge()\n\ndef refund(bank):\n    pay(bank)\n    log()\n"),
        ("shop/log.py", "def log(): ...\n"),
        ("shop/other.py", "def log(): ...\n"),
        ("tests/test_pay.py", "def test_refund():\n    refund(None)\n\ndef test_nothing(): ...\n"),
    ]);
    let post = one(&index, "Bank._post");
    let callers = index.callers(post);
    assert_eq!(
        labels(&index, &callers),
        ["shop/bank.py:Bank.charge", "shop/pay.py:pay", "shop/pay.py:refund", "tests/test_pay.py:test_refund"]
    );
    let steps: Vec<_> = callers.iter().map(|c| (c.line, c.distance, c.certainty)).collect();
    assert_eq!(
        steps,
        [(3, 1, Certainty::Sure), (2, 2, Certainty::Unique), (5, 3, Certainty::Unique), (2, 4, Certainty::Unique)]
    );
    assert_eq!(labels(&index, &index.direct_callers(post)), ["shop/bank.py:Bank.charge"]);
    assert_eq!(labels(&index, &index.tests_of(post)), ["tests/test_pay.py:test_refund"]);
    let log = one(&index, "shop.other.log");
    assert_eq!(index.direct_callers(log)[0].certainty, Certainty::Ambiguous);
}

#[test]
fn impact_reaches_endpoints_and_tests() {
    let index = fixtures();
    let impact = index.impact(&[one(&index, "payments.bank.backoff")]);
    assert_eq!(
        labels(&index, &impact.callers),
        ["src/payments/bank.py:BankAdapter.charge", "src/payments/bank.py:pay"]
    );
    let routes: Vec<_> = impact.endpoints.iter().map(|e| (e.method.as_deref(), e.route.as_str(), e.distance)).collect();
    assert_eq!(routes, [(Some("POST"), "/payments/{order_id}", 2)]);
    assert_eq!(labels(&index, &impact.tests), ["src/payments/bank.py:test_backoff_stays_under_the_cap"]);
    let total = index.impact(&[one(&index, "orders.total")]);
    let tests = labels(&index, &total.tests);
    assert_eq!(tests.len(), 3, "{tests:?}");
    let routes: Vec<_> = total.endpoints.iter().map(|e| e.route.as_str()).collect();
    assert_eq!(routes, ["/legacy", "/orders"]);
    let rust = index.impact(&[one(&index, "Ledger::total")]);
    assert_eq!(labels(&index, &rust.callers), ["crates/shop/src/ledger.rs:Ledger::fmt"]);
}

#[test]
fn a_route_finds_its_handler_in_another_file() {
    let index = index(&[
        ("urls.py", "urlpatterns = [path('pay/', views.pay), path('cart/', Cart.as_view())]\n"),
        ("views.py", "def pay(request): ...\n\nclass Cart(View):\n    def get(self, request): ...\n"),
        ("main.go", "package main\nfunc main() { r.HandleFunc(\"/x\", api.Show).Methods(\"GET\", \"HEAD\") }\n"),
        ("api/api.go", "package api\nfunc Show(w http.ResponseWriter, r *http.Request) {}\n"),
    ]);
    let endpoints = |name: &str| -> Vec<String> {
        let impact = index.impact(&[one(&index, name)]);
        let line = |e: &backtrail_code::Endpoint| format!("{} {}", e.method.as_deref().unwrap_or("ANY"), e.route);
        impact.endpoints.iter().map(line).collect()
    };
    assert_eq!(endpoints("views.pay"), ["ANY pay/"]);
    assert_eq!(endpoints("Cart.get"), ["ANY cart/"]);
    assert_eq!(endpoints("api.Show"), ["GET /x", "HEAD /x"]);
}

#[test]
fn a_mutual_recursion_ends() {
    let index = index(&[("a.py", "def f():\n    g()\n\ndef g():\n    f()\n    g()\n")]);
    assert_eq!(labels(&index, &index.callers(one(&index, "f"))), ["a.py:g"]);
}

#[test]
fn what_does_not_fit_is_counted_with_its_reason() {
    let limits = IndexLimits { files: 2, bytes: 60, ..IndexLimits::default() };
    let files = [
        ("README.md", "# hi".to_owned()),
        ("a.py", "def a(): pass\n".to_owned()),
        ("a.py", "def b(): pass\n".to_owned()),
        ("big.py", "x = 1\n".repeat(20)),
        ("b.py", "def b(): pass\n".to_owned()),
        ("c.py", "def c(): pass\n".to_owned()),
    ];
    let index = Index::build(limits, files);
    assert_eq!(index.paths().collect::<Vec<_>>(), ["a.py", "b.py"]);
    let counts: Vec<_> = index.skipped_counts().iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(counts, [("no_grammar", 1), ("repeated", 1), ("too_many_bytes", 1), ("too_many_files", 1)]);
    assert_eq!(index.skipped()[0].path, "README.md");
}

#[test]
fn lines_lead_to_functions_and_the_public_api_has_no_tests() {
    let index = fixtures();
    let id = index.at("src/payments/bank.py", 50).expect("line 50 is in a function");
    assert_eq!(index.label(id), "src/payments/bank.py:backoff.jitter");
    assert_eq!(index.at("bank.py", 50), None);
    let public: Vec<_> = index.public_api().iter().map(|id| index.label(*id)).collect();
    assert!(public.contains(&"src/payments/bank.py:BankAdapter.charge".to_owned()));
    assert!(public.iter().all(|label| !label.contains("test_") && !label.contains("_post")), "{public:?}");
}

#[test]
fn a_module_before_the_name_decides_and_wide_names_are_not_followed() {
    let class = |name: &str| format!("class {name}:\n    def get(self): ...\n");
    let index = index(&[
        ("bank.py", "def get():\n    ...\n"),
        ("many.py", &["A", "B", "C", "D"].map(class).concat()),
        (
            "pay.py",
            "import bank\n\ndef pay():\n    return bank.get()\n\ndef fetch(thing):\n    return thing.get()\n\ndef outer():\n    fetch(1)\n",
        ),
    ]);
    let of_module = index.callers(one(&index, "bank.get"));
    assert_eq!(labels(&index, &of_module), ["pay.py:pay"]);
    assert_eq!(of_module[0].certainty, Certainty::Sure);
    let of_method = index.callers(one(&index, "A.get"));
    assert_eq!(labels(&index, &of_method), ["pay.py:fetch"], "four meanings are listed, and outer is not reached");
    assert_eq!(of_method[0].certainty, Certainty::Ambiguous);
}
