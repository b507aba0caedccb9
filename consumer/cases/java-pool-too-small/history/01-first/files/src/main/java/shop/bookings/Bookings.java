package shop.bookings;

/** GET /bookings/{guest}: what a guest has booked. */
public final class Bookings {
    private final Pool pool;
    private final Table table;

    /** The table behind it. */
    public interface Table {
        String read(String guest) throws InterruptedException;
    }

    public Bookings(Conf conf, Table table) {
        this.pool = new Pool(conf.number("spring.datasource.hikari.maximum-pool-size"), conf.number("spring.datasource.hikari.connection-timeout"));
        this.table = table;
    }

    /** 200 with a list, or 503. */
    public int get(String guest) throws InterruptedException {
        try {
            pool.with(() -> table.read(guest));
            return 200;
        } catch (IllegalStateException e) {
            System.err.println("ERROR bookings of " + guest + ": " + e.getMessage());
            return 503;
        }
    }
}
