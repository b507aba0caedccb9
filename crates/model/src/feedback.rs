//! What people say about verdicts, in a file of checksummed lines.
//!
//! ```text
//! line: the first 8 hex digits of the SHA-256 of the rest | blank | JSON of a Feedback
//! ```

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::time::UnixNano;
use crate::verdict::Verdict;

/// What a verdict said: its first service and how sure it was.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Said {
    /// The service of rank 1; empty without one.
    pub culprit: String,
    /// high, medium, low or inconclusive.
    pub level: String,
    /// The score of that service, 0 to 1.
    pub score: f64,
}

impl Said {
    /// The gist of a verdict.
    pub fn by(verdict: &Verdict) -> Self {
        let culprit = verdict.of_kind("service").next().map_or_else(String::new, |first| first.entity.service.clone());
        Self { culprit, level: verdict.confidence.level.clone(), score: verdict.confidence.score }
    }
}

/// One statement about one verdict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Feedback {
    /// When it was made.
    pub time_unix_nano: UnixNano,
    /// The verdict.
    pub verdict_id: String,
    /// What it said; `None` when that is not known any more.
    pub said: Option<Said>,
    /// The service that was to blame; `None` when only that the verdict is wrong is known.
    pub culprit: Option<String>,
}

impl Feedback {
    /// Whether the verdict named the culprit first; `None` when what it said is not known.
    pub fn right(&self) -> Option<bool> {
        self.said.as_ref().map(|said| self.culprit.as_ref() == Some(&said.culprit))
    }

    /// The line of the file, with its end.
    ///
    /// ```
    /// # use backtrail_model::feedback::{Feedback, read};
    /// # use backtrail_model::UnixNano;
    /// let one = Feedback { time_unix_nano: UnixNano(7), verdict_id: "v".into(), said: None, culprit: Some("cart".into()) };
    /// let (lines, damaged) = read(&one.line());
    /// assert_eq!((lines, damaged), (vec![one.clone()], vec![]));
    /// assert_eq!(read(&one.line().replace("cart", "card")), (vec![], vec![1]));
    /// ```
    pub fn line(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers are JSON");
        format!("{} {json}\n", sum(&json))
    }
}

/// The statements of a file, and the numbers (from 1) of the lines that are damaged. Of a verdict that was spoken of
/// several times the last statement counts.
pub fn read(text: &str) -> (Vec<Feedback>, Vec<usize>) {
    let (mut found, mut damaged) = (Vec::<Feedback>::new(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let read = line.split_once(' ').filter(|(written, json)| *written == sum(json));
        match read.and_then(|(_, json)| serde_json::from_str::<Feedback>(json).ok()) {
            Some(feedback) => {
                found.retain(|known| known.verdict_id != feedback.verdict_id);
                found.push(feedback);
            }
            None => damaged.push(number + 1),
        }
    }
    (found, damaged)
}

fn sum(json: &str) -> String {
    Sha256::digest(json.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
