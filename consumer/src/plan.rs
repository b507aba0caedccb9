//! The planner: recipes, least risk first. A recipe looks at the request and the code and gives candidates, or says why it
//! has none. The same facts give the same plan.

mod backoff;
mod code;
mod deadline;
mod flags_file;
mod golang;
mod llm;
mod load;
mod loops;
mod needs;
mod place;
mod pool;
#[cfg(test)]
mod property;
mod python;
mod release;
mod restore;
mod retries;
mod revert;
mod timeout;
mod units;

use crate::candidate::{Draft, FileEdit, LeftOut, Proposal};
use crate::context::Context;
use crate::settings;

pub use llm::Model;
use place::Place;

/// What a recipe comes to: candidates, or why there are none.
type Found = Result<Vec<Draft>, String>;

/// A recipe.
struct Recipe {
    name: &'static str,
    plan: fn(&Context) -> Found,
}

/// All recipes in the order in which their candidates are tried: what was there before, then settings, then code.
const RECIPES: [Recipe; 12] = [
    Recipe { name: "revert", plan: revert::revert },
    Recipe { name: "release_first", plan: release::first },
    Recipe { name: "flag", plan: restore::flag },
    Recipe { name: "retry_budget", plan: retries::budget },
    Recipe { name: "retry_count", plan: retries::count },
    Recipe { name: "timeout_within_deadline", plan: timeout::within_deadline },
    Recipe { name: "timeout_unset", plan: deadline::unset },
    Recipe { name: "pool_size", plan: pool::size },
    Recipe { name: "unit_slip", plan: units::slip },
    Recipe { name: "restore_setting", plan: restore::setting },
    Recipe { name: "backoff_jitter", plan: backoff::jitter },
    Recipe { name: "deadline", plan: deadline::missing },
];

/// Most candidates of a plan.
const MOST_CANDIDATES: usize = 8;

/// The candidates in the order in which they are to be tried, and the recipes without one.
pub fn plan(context: &Context) -> (Vec<Draft>, Vec<LeftOut>) {
    let (mut drafts, mut left_out): (Vec<Draft>, Vec<LeftOut>) = (Vec::new(), Vec::new());
    let out = |recipe: &str, why: String| LeftOut { recipe: recipe.to_owned(), why };
    for recipe in &RECIPES {
        match (recipe.plan)(context) {
            Ok(found) => {
                for draft in found {
                    if let Some(same) = drafts.iter_mut().find(|other| other.edits == draft.edits) {
                        same.proposal.why.extend(draft.proposal.why);
                        left_out.push(out(recipe.name, format!("it is the change of {}", same.proposal.recipe)));
                    } else if drafts.len() == MOST_CANDIDATES {
                        left_out.push(out(recipe.name, format!("{MOST_CANDIDATES} candidates are enough")));
                    } else if let Some(foreign) = draft.edits.iter().find(|edit| !context.is_owned(&edit.path)) {
                        left_out.push(out(recipe.name, format!("{} is outside of what the owner holds", foreign.path)));
                    } else {
                        drafts.push(draft);
                    }
                }
            }
            Err(why) => left_out.push(out(recipe.name, why)),
        }
    }
    (drafts, left_out)
}

/// The last of a setting's keys that is a name: what code would read.
pub fn last_name(keys: &[String]) -> &str {
    let name = keys.iter().rev().find(|key| !key.chars().all(|c| c.is_ascii_digit()));
    name.map_or("", String::as_str)
}

/// The draft that changes one setting.
fn draft_of_setting(place: &Place<'_>, value: &str, proposal: Proposal) -> Found {
    let text = settings::set(place.format, place.text, &place.setting.keys, value)
        .map_err(|why| format!("{} cannot be changed: {why}", place.says()))?;
    let edits = vec![FileEdit { path: place.path.to_owned(), content: Some(text.into_bytes()) }];
    Ok(vec![Draft { proposal, edits }])
}
