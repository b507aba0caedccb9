//! All rules of the linter, each with a defective and a mended example. The examples are the linter's fixtures, and what
//! a person is shown who asks what a rule means.

/// What a rule looks for.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Its name.
    pub id: &'static str,
    /// What it finds.
    pub what: &'static str,
    /// Why that is a mistake.
    pub why: &'static str,
    /// How to mend it.
    pub mend: &'static str,
    /// A file with this mistake and no other: its name and its text.
    pub defective: (&'static str, &'static str),
    /// The same file without it.
    pub mended: (&'static str, &'static str),
}

macro_rules! rule {
    ($id:literal, $extension:literal, $what:literal, $why:literal, $mend:literal) => {
        rule!($id, "", $extension, $what, $why, $mend)
    };
    ($id:literal, $prefix:literal, $extension:literal, $what:literal, $why:literal, $mend:literal) => {
        Rule {
            id: $id,
            what: $what,
            why: $why,
            mend: $mend,
            defective: (
                concat!("lint/", $id, "/", $prefix, "defective", $extension),
                include_str!(concat!("../../lint/", $id, "/", $prefix, "defective", $extension)),
            ),
            mended: (
                concat!("lint/", $id, "/", $prefix, "mended", $extension),
                include_str!(concat!("../../lint/", $id, "/", $prefix, "mended", $extension)),
            ),
        }
    };
}

/// All rules, in alphabetical order.
pub const RULES: &[Rule] = &[
    rule!(
        "analysis-failure-limit",
        ".yaml",
        "a failureLimit that more than half of the measurements must exceed",
        "Argo fails an analysis when failures exceed failureLimit, not when they reach it",
        "leave failureLimit at 0, or measure more often"
    ),
    rule!(
        "analysis-missing-series",
        ".yaml",
        "an error series that does not exist while there are no errors",
        "without errors the query gives an empty vector, and the condition is an error instead of a success",
        "append 'or on() vector(0)' to the error series"
    ),
    rule!(
        "analysis-mixed-versions",
        ".yaml",
        "a query over stable and canary together",
        "at a small weight a broken canary disappears in the traffic of the stable version",
        "select the version: a label for the pod hash, as rollouts_pod_template_hash=\"{{args.canary-hash}}\""
    ),
    rule!(
        "analysis-vector",
        ".yaml",
        "a condition that treats the result of Prometheus as a number",
        "Prometheus gives a vector: comparing it is an error in every measurement, and indexing an empty one is, too",
        "write 'len(result) > 0 && result[0] < 0.01'"
    ),
    rule!(
        "analysis-window",
        ".yaml",
        "a query that looks back beyond the beginning of its step",
        "the window still holds what happened before the weight changed, and hides what the change did",
        "make the range shorter than the pause before the analysis, or the pause longer"
    ),
    rule!(
        "analysis-zero-division",
        ".yaml",
        "a division by a series that may be zero",
        "0/0 is NaN, and every comparison with NaN is false: no traffic looks like a failure",
        "guard the divisor, as 'sum(...) / (sum(...) > 0)', or treat isNaN(result[0]) as inconclusive"
    ),
    rule!(
        "diff-noop",
        ".diff",
        "lines that are removed and added again unchanged",
        "a reviewer reads a change where there is none, and limits on size count it",
        "make the diff with git diff"
    ),
    rule!(
        "diff-undefined-name",
        ".diff",
        "added lines that use a name which nothing defines",
        "the code fails when the line runs, which may be only in the next incident",
        "define or import the name in the same diff"
    ),
    rule!(
        "rego-matches",
        ".rego",
        "'matches' between two values",
        "Rego has no operator of this name",
        "write regex.match(pattern, value), or startswith(value, prefix)"
    ),
    rule!(
        "rego-some-for-all",
        ".rego",
        "a rule that allows and asks for SOME file",
        "files[_] and 'some file in' hold if one file fits, however many others do not",
        "write 'every file in input.diff.files { ... }', or deny each file that does not fit"
    ),
    rule!(
        "rollout-incomplete",
        ".yaml",
        "a Rollout without selector, or with weights that nothing can serve",
        "the schema accepts it, and the controller refuses it or shifts no traffic",
        "state spec.selector, canaryService and stableService"
    ),
    rule!(
        "rollout-too-few-requests",
        ".yaml",
        "a step that is too short for its weight",
        "n requests without an error only show an error rate below 3/n: this step can not show what its analysis asks",
        "raise the weight or the pause, or state the traffic in the annotation backtrail.dev/requests-per-second"
    ),
    rule!(
        "route-without-destination-rule",
        ".yaml",
        "a VirtualService with subsets that no DestinationRule defines",
        "the schema accepts it, and the mesh answers 503 for each request to such a subset",
        "add a DestinationRule for the host with these subsets"
    ),
    rule!(
        "test-zero-delay",
        "test_",
        ".py",
        "a test of delays that passes if every delay is zero",
        "only upper bounds are checked, so code that never waits passes",
        "assert what zero breaks: that delays are above a bound, grow, or differ from each other"
    ),
    rule!(
        "unreadable",
        ".yaml",
        "a file that can not be read",
        "what can not be read was not checked",
        "mend the syntax, break long lines, and render templates before linting them"
    ),
];
