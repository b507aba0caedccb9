//! Stack traces of every runtime, and the way from them into a repository.

use backtrail_code::{Frame, Index, IndexLimits, locate, parse_stack};

/// `function file:line` of every frame; unresolved ones with a question mark.
fn shown(trace: &str) -> Vec<String> {
    let line = |frame: &Frame| match frame {
        Frame::Source(f) => format!(
            "{} {}:{}",
            f.function.as_deref().unwrap_or("-"),
            f.file.as_deref().unwrap_or("-"),
            f.line.map_or_else(|| "-".to_owned(), |line| line.to_string())
        ),
        Frame::Unresolved { text, .. } => format!("? {text}"),
    };
    parse_stack(trace).iter().map(line).collect()
}

#[test]
fn python_traces_come_innermost_first_and_causes_before_what_they_caused() {
    let trace = r#"Traceback (most recent call last):
  File "/app/src/bank.py", line 36, in charge
    return await self._post(charge)
           ^^^^^^^^^^^^^^^^^^^^^^^^
  File "/app/src/bank.py", line 44, in _post
    response.raise_for_status()
TimeoutError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/src/main.py", line 3, in <module>
    pay()
  File "<string>", line 1, in <module>
  File "/app/src/bank.py", line 40, in charge
    raise BankError
BankError: a
"#;
    assert_eq!(
        shown(trace),
        [
            "_post /app/src/bank.py:44",
            "charge /app/src/bank.py:36",
            "charge /app/src/bank.py:40",
            "? File \"<string>\", line 1",
            "- /app/src/main.py:3",
        ]
    );
}

#[test]
fn jvm_traces_put_the_root_cause_first() {
    let trace = "java.lang.IllegalStateException: reserve\n\
        \tat com.shop.inventory.InventoryController.reserve(InventoryController.java:25)\n\
        \tat java.base/jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)\n\
        \tat java.base/java.lang.Thread.run(Native Method)\n\
        Caused by: java.lang.IllegalArgumentException: count\n\
        \tat app//com.shop.inventory.InventoryController.check(InventoryController.java:30)\n\
        \t... 2 more\n";
    assert_eq!(
        shown(trace),
        [
            "com.shop.inventory.InventoryController.check com/shop/inventory/InventoryController.java:30",
            "com.shop.inventory.InventoryController.reserve com/shop/inventory/InventoryController.java:25",
            "jdk.internal.reflect.DirectMethodHandleAccessor.invoke jdk/internal/reflect/DirectMethodHandleAccessor.java:103",
            "? at java.base/java.lang.Thread.run(Native Method)",
        ]
    );
}

#[test]
fn dotnet_traces_have_a_place_only_with_symbols() {
    let trace = "Shop.NotFound: 7\n   at Shop.Shipping.ShippingController.Find(String id, Boolean full) in /src/Shipping/ShippingController.cs:line 20\n   \
        at Shop.Shipping.Startup.Print(Parcel parcel)\n--- End of stack trace from previous location ---\n   \
        at System.Threading.Tasks.Task.Execute()\n";
    assert_eq!(
        shown(trace),
        [
            "Shop.Shipping.ShippingController.Find /src/Shipping/ShippingController.cs:20",
            "Shop.Shipping.Startup.Print -:-",
            "System.Threading.Tasks.Task.Execute -:-",
        ]
    );
}

#[test]
fn go_traces_pair_a_function_with_the_line_below() {
    let trace = "panic: total\n\ngoroutine 7 [running]:\ngithub.com/x/shop/internal/orders.(*Server).Create(0xc00001, {0x1, 0x2})\n\
        \t/build/internal/orders/orders.go:20 +0x1d\nnet/http.HandlerFunc.ServeHTTP(...)\n\t/usr/local/go/src/net/http/server.go:2122\n\
        created by net/http.(*Server).Serve in goroutine 1\n\t/usr/local/go/src/net/http/server.go:3102 +0x5cb\n";
    assert_eq!(
        shown(trace),
        [
            "github.com/x/shop/internal/orders.(*Server).Create /build/internal/orders/orders.go:20",
            "net/http.HandlerFunc.ServeHTTP /usr/local/go/src/net/http/server.go:2122",
            "net/http.(*Server).Serve /usr/local/go/src/net/http/server.go:3102",
        ]
    );
}

#[test]
fn javascript_traces_of_both_engines_are_read() {
    let trace = "TypeError: x\n    at Cart.add [as push] (/app/web/server.js:32:10)\n    at async listOrders (file:///app/web/server.js:14:20)\n    \
        at new Cart (/app/web/server.js:29:1)\n    at /app/web/server.js:24:3\n    at Array.map (<anonymous>)\n    \
        at Object.<anonymous> (C:\\app\\web\\server.js:9:1)\nguard@https://shop.example/static/server.js?v=2:10:5\n";
    assert_eq!(
        shown(trace),
        [
            "Cart.add /app/web/server.js:32",
            "listOrders file:///app/web/server.js:14",
            "Cart /app/web/server.js:29",
            "- /app/web/server.js:24",
            "? at Array.map (<anonymous>)",
            "- C:\\app\\web\\server.js:9",
            "guard https://shop.example/static/server.js?v=2:10",
        ]
    );
}

#[test]
fn rust_traces_are_read_with_and_without_line_tables() {
    let trace = "thread 'main' panicked at crates/shop/src/ledger.rs:34:24:\nthe ledger\nstack backtrace:\n   0: rust_begin_unwind\n             \
        at /rustc/abc/library/std/src/panicking.rs:697:5\n   1: shop::ledger::checked::h0123456789abcdef\n             \
        at ./crates/shop/src/ledger.rs:34:5\n   2: shop::main\n   3: <unknown>\n   4:     0x55d0c0ffee00 - main\n";
    assert_eq!(
        shown(trace),
        [
            "- crates/shop/src/ledger.rs:34",
            "rust_begin_unwind /rustc/abc/library/std/src/panicking.rs:697",
            "shop::ledger::checked ./crates/shop/src/ledger.rs:34",
            "shop::main -:-",
            "? 3: <unknown>",
            "main -:-",
        ]
    );
}

#[test]
fn bare_addresses_are_unresolved_with_the_reason() {
    let trace = "#0 0x00007f3a2c1d4e10\n/lib/libc.so.6(+0x2d3e0) [0x7f0a]\n0x4005d0\nsegfault at all\n    at 0x10a2b3c4\n#01 pc 000a4f28 libpay.so\n";
    let frames = parse_stack(trace);
    assert_eq!(frames.len(), 5, "{frames:?}");
    for frame in frames {
        let Frame::Unresolved { reason, .. } = frame else { panic!("{frame:?} has no place") };
        assert!(reason.contains("debug symbols"), "{reason}");
    }
}

#[test]
fn text_without_a_trace_has_no_frames() {
    assert_eq!(
        shown("connection refused: retry at 10:30:15 (attempt 3)\nsee https://x/y for help.\nat all costs\n"),
        [""; 0]
    );
}

#[test]
fn frames_lead_to_files_of_the_repository_only_when_one_fits() {
    let index = Index::build(
        IndexLimits::default(),
        [
            ("src/bank.py", "class Bank:\n    def charge(self):\n        return 1\n"),
            ("a/util.py", "def f():\n    pass\n"),
            ("b/util.py", "def f():\n    pass\n"),
            ("svc/src/main/java/com/x/A.java", "package com.x;\nclass A {\n void m() {\n }\n}\n"),
            ("Net/Find.cs", "namespace N;\nclass Find {\n  void Go() { }\n}\n"),
        ],
    );
    let trace = "Traceback (most recent call last):\n  File \"/usr/lib/python3.11/src/bank.py\", line 2, in x\n  \
        File \"/app/b/util.py\", line 2, in f\n  File \"util.py\", line 2, in f\n  File \"/x/decoder/bank.py\", line 2, in x\n  \
        File \"/app/src/bank.py\", line 3, in charge\n";
    let located = locate(&parse_stack(trace), &index);
    let found: Vec<_> = located.iter().map(|l| (l.frame, l.path.as_str(), l.line)).collect();
    assert_eq!(found, [(0, "src/bank.py", 3), (3, "b/util.py", 2)]);
    let function = located[0].function.expect("line 3 is in a function");
    assert_eq!(index.label(function), "src/bank.py:Bank.charge");
    let jvm = locate(&parse_stack("\tat com.x.A.m(A.java:3)\n\tat com.y.A.m(A.java:3)\n"), &index);
    assert_eq!(jvm.len(), 1);
    assert_eq!(jvm[0].path, "svc/src/main/java/com/x/A.java");
    let dotnet = locate(&parse_stack("   at N.Find.Go()\n   at System.Find.Go()\n"), &index);
    assert_eq!(dotnet.iter().map(|l| (l.frame, l.line)).collect::<Vec<_>>(), [(0, 3)]);
}
