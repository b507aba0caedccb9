//! The level of a product: what all warehouses have, less what each of them keeps back.

use crate::warehouse::{Fault, Warehouse};

/// Adds up what warehouses count.
pub struct Levels {
    warehouses: Vec<Box<dyn Warehouse>>,
    reserve: u32,
}

impl Levels {
    pub fn new(warehouses: Vec<Box<dyn Warehouse>>, reserve: u32) -> Self {
        Self {
            warehouses,
            reserve,
        }
    }

    /// Pieces that can be sold; `Fault::Unknown` if no warehouse keeps the product.
    pub fn of(&self, sku: &str) -> Result<u32, Fault> {
        let mut total = 0;
        let mut known = false;
        for warehouse in &self.warehouses {
            if let Some(count) = self.sellable(warehouse.as_ref(), sku) {
                known = true;
                total += count;
            }
        }
        if known {
            Ok(total)
        } else {
            Err(Fault::Unknown)
        }
    }

    fn sellable(&self, warehouse: &dyn Warehouse, sku: &str) -> Option<u32> {
        match warehouse.count(sku) {
            Ok(count) => Some(count.saturating_sub(self.reserve)),
            Err(Fault::Unknown) => None,
            Err(fault) => {
                eprintln!("warehouse {}: {sku}: {fault}", warehouse.name());
                Some(0)
            }
        }
    }
}
