//! Tables in plain text.

use std::fmt::Write as _;

/// A table: columns of text on the left, numbers on the right of their column.
pub(crate) struct Table {
    head: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// Which side of its column a cell stands on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

impl Table {
    /// A table whose columns starting with `>` are numbers: `["node", ">accepted"]`.
    pub(crate) fn new(head: &[&str]) -> Self {
        let column = |name: &&str| match name.strip_prefix('>') {
            Some(name) => (name.to_owned(), Align::Right),
            None => ((*name).to_owned(), Align::Left),
        };
        Self { head: head.iter().map(column).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The lines, head first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let widths: Vec<usize> = (0..self.head.len()).map(|column| self.width(column)).collect();
        let head: Vec<String> = self.head.iter().map(|(name, _)| name.clone()).collect();
        std::iter::once(&head).chain(&self.rows).map(|cells| self.line(cells, &widths)).collect()
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or_default();
        widest.max(self.head[column].0.chars().count())
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, &width), (_, align)) in cells.iter().zip(widths).zip(&self.head) {
            let gap = if line.is_empty() { "" } else { "  " };
            // Writing to a string cannot fail.
            let _ = match align {
                Align::Left => write!(line, "{gap}{cell:width$}"),
                Align::Right => write!(line, "{gap}{cell:>width$}"),
            };
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["node", ">sent"]);
        table.row(vec!["a".into(), "1,000".into()]);
        table.row(vec!["longer".into(), "7".into()]);
        assert_eq!(table.lines(), ["node     sent", "a       1,000", "longer      7"]);
    }
}
