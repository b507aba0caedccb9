//! The existing test by which a generated one gets at the suspect: it is run again, with the flag on and watched.

use backtrail_code::Language;
use backtrail_code::TestKind;

use super::{Target, folder};
use crate::context::{Context, has_word};

/// A test of the suspect's own package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reach {
    /// Its name: `TestCharge`.
    pub(crate) test: String,
    /// The file that it stands in.
    pub(crate) file: String,
    /// The package's name.
    pub(crate) package: String,
}

impl Reach {
    /// The nearest test that calls the suspect and may run within another one.
    pub(crate) fn find(context: &Context, target: &Target<'_>) -> Result<Self, String> {
        let function = &target.parsed.functions()[target.place];
        let id = context.index.at(target.path, function.name_line).ok_or("it is not in the index of the code")?;
        let package = function.namespace.clone().ok_or("its package has no name")?;
        let mut why = None;
        for caller in context.index.tests_of(id) {
            let (path, Some(test)) = (context.index.path_of(caller.function), context.index.function(caller.function))
            else {
                continue;
            };
            let Some(parsed) = context.sources.get(path).filter(|parsed| parsed.language() == Language::Go) else {
                continue;
            };
            let text = parsed.text().get(test.bytes.clone()).unwrap_or_default();
            let other = folder(path) != folder(target.path) || test.namespace.as_deref() != Some(package.as_str());
            let refused = if test.test != Some(TestKind::Unit) || !test.name.starts_with("Test") {
                "is no plain test"
            } else if other {
                "stands in another package, which does not see what is to be switched"
            } else if has_word(text, "Parallel") {
                "runs beside others"
            } else {
                return Ok(Self { test: test.name.clone(), file: path.to_owned(), package });
            };
            why = why.or_else(|| Some(format!("{} {refused}", test.name)));
        }
        let none = || format!("no existing test calls {}", target.qualified());
        Err(why.map_or_else(none, |why| format!("no existing test can be run again for {}: {why}", target.qualified())))
    }
}
