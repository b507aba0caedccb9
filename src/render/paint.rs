//! Colour, where it is wanted. It only repeats what the text says.

use anstyle::{AnsiColor, Style};

/// Wraps text in colour, or leaves it alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Paint {
    colour: bool,
}

impl Paint {
    /// With or without colour.
    pub(crate) const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Whether there is colour.
    pub(crate) const fn is_coloured(self) -> bool {
        self.colour
    }

    /// Headings and names.
    pub(crate) fn bold(self, text: &str) -> String {
        self.style(Style::new().bold(), text)
    }

    /// What is of second rank.
    pub(crate) fn dim(self, text: &str) -> String {
        self.style(Style::new().dimmed(), text)
    }

    /// What is sick.
    pub(crate) fn bad(self, text: &str) -> String {
        self.style(Style::new().bold().fg_color(Some(AnsiColor::Red.into())), text)
    }

    /// What is well.
    pub(crate) fn good(self, text: &str) -> String {
        self.style(Style::new().fg_color(Some(AnsiColor::Green.into())), text)
    }

    /// What needs a look.
    pub(crate) fn warn(self, text: &str) -> String {
        self.style(Style::new().fg_color(Some(AnsiColor::Yellow.into())), text)
    }

    fn style(self, style: Style, text: &str) -> String {
        if self.colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
