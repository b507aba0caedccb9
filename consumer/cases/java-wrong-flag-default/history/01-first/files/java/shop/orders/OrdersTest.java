package shop.orders;

import java.nio.file.Path;

public final class OrdersTest {
    public static void main(String[] args) throws Exception {
        Features features = Features.load(Path.of("conf/features.json"));
        if (new Orders(features, sku -> true).post("lamp") != 201) {
            throw new AssertionError("an order with stock is accepted");
        }
        if (!features.on("gift-wrap") || features.on("no-such-feature")) {
            throw new AssertionError("features");
        }
        System.out.println("ok");
    }
}
