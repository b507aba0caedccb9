//! Warehouses.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// Why a warehouse gave no count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It does not keep the product.
    Unknown,
    /// It did not answer, or not as agreed.
    Unavailable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown product"),
            Self::Unavailable(why) => write!(f, "not available: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

/// Counts the pieces of a product.
pub trait Warehouse: Send + Sync {
    fn name(&self) -> &str;
    fn count(&self, sku: &str) -> Result<u32, Fault>;
}

/// A warehouse that is asked over TCP: a line with the SKU, a line with the count or `-`.
pub struct Remote {
    pub name: String,
    pub address: String,
    pub timeout: Duration,
}

impl Remote {
    fn ask(&self, sku: &str) -> std::io::Result<String> {
        let address = self.address.parse().map_err(std::io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, self.timeout)?;
        stream.set_read_timeout(Some(self.timeout))?;
        stream.set_write_timeout(Some(self.timeout))?;
        writeln!(stream, "{sku}")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Warehouse for Remote {
    fn name(&self) -> &str {
        &self.name
    }

    fn count(&self, sku: &str) -> Result<u32, Fault> {
        let line = self
            .ask(sku)
            .map_err(|error| Fault::Unavailable(error.to_string()))?;
        match line.as_str() {
            "-" => Err(Fault::Unknown),
            count => count
                .parse()
                .map_err(|_| Fault::Unavailable(format!("answered {count:?}"))),
        }
    }
}
