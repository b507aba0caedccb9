package com.shop.inventory;

import java.util.List;
import net.jqwik.api.*;
import org.junit.jupiter.api.Test;
import org.springframework.web.bind.annotation.*;

@RestController
@RequestMapping("/inventory")
public class InventoryController {
    private final StockService stock;

    public InventoryController(StockService stock) {
        this.stock = stock;
    }

    @GetMapping("/{sku}")
    public Stock find(@PathVariable String sku) {
        return stock.find(sku).orElseThrow(() -> new NotFound(sku));
    }

    @RequestMapping(value = "/reserve", method = RequestMethod.POST)
    public Stock reserve(@RequestBody Reservation reservation, String... tags) {
        check(reservation);
        return stock.reserve(reservation.sku(), reservation.count());
    }

    private static void check(Reservation reservation) {
        if (reservation.count() <= 0) {
            throw new IllegalArgumentException("count");
        }
    }

    interface StockService {
        java.util.Optional<Stock> find(String sku);

        Stock reserve(String sku, int count);
    }

    static class Tests {
        @Test
        void refusesNothing() {
            check(new Reservation("a", 1));
        }

        @Property
        boolean countsStayPositive(@ForAll int count) {
            return count <= 0 || new Reservation("a", count).count() > 0;
        }
    }
}
