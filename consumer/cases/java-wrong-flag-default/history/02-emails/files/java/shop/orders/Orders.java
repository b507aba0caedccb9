package shop.orders;

import java.util.ArrayDeque;
import java.util.Deque;

/** POST /orders: takes stock, accepts an order; the e-mail is sent by the mailer. */
public final class Orders {
    /** Stock as a service; false: none left. */
    public interface Stock {
        boolean take(String sku);
    }

    private final Features features;
    private final Stock stock;
    private final Deque<String> later = new ArrayDeque<>();

    public Orders(Features features, Stock stock) {
        this.features = features;
        this.stock = stock;
    }

    /** 201 accepted, 409 sold out, 503 for the queue is full. */
    public int post(String sku) {
        if (features.on("async-stock")) {
            // The worker for this queue comes with the next release.
            if (later.size() >= 100) {
                System.err.println("ERROR the stock queue is full, order of " + sku + " refused");
                return 503;
            }
            later.add(sku);
            return 201;
        }
        return stock.take(sku) ? 201 : 409;
    }
}
