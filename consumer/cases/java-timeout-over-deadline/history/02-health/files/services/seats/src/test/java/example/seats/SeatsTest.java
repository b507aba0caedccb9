package example.seats;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/** All tests; the exit code is 1 if one fails. */
public final class SeatsTest {
    private SeatsTest() {}

    /** Gives the statuses in turn, the last one for ever; 0 is a time-out. */
    private static final class Inventory implements Transport {
        final Deque<Integer> statuses = new ArrayDeque<>();
        final List<String> urls = new ArrayList<>();

        Inventory(int... statuses) {
            for (int status : statuses) {
                this.statuses.add(status);
            }
        }

        @Override
        public int post(String url, String body, int timeoutMillis) throws IOException {
            urls.add(url);
            int status = statuses.size() > 1 ? statuses.poll() : statuses.peek();
            if (status == 0) {
                throw new IOException("timed out");
            }
            return status;
        }
    }

    private static final class StandingTime implements Time {
        long now;

        @Override
        public long millis() {
            return now;
        }

        @Override
        public void sleep(long millis) {
            now += millis;
        }
    }

    private static SeatService service(Inventory inventory) throws IOException {
        Settings settings = Settings.load(Path.of("config/seats.properties"));
        return new SeatService(new InventoryClient(settings, inventory, new StandingTime()));
    }

    private static int reserve(Inventory inventory) throws IOException {
        return service(inventory).handle("POST", "/seats/hamlet/12B", "c7").status();
    }

    private static void equal(Object want, Object got, String what) {
        if (!want.equals(got)) {
            throw new AssertionError(what + ": expected " + want + ", got " + got);
        }
        System.out.println("ok " + what);
    }

    public static void main(String[] args) throws IOException {
        Inventory free = new Inventory(200);
        equal(201, reserve(free), "a free seat is reserved");
        equal(List.of("http://inventory.venues.example/shows/hamlet/seats/12B"), free.urls, "the inventory is asked");
        equal(409, reserve(new Inventory(409)), "a taken seat is a conflict");
        equal(201, reserve(new Inventory(500, 200)), "a failure is tried again");
        equal(201, reserve(new Inventory(0, 200)), "a time-out is tried again");
        equal(503, reserve(new Inventory(0)), "a venue that does not answer is said");
        equal(200, service(free).handle("GET", "/healthz", "").status(), "health");
        equal(404, service(free).handle("POST", "/seats/hamlet", "c7").status(), "a seat is needed");
        equal(405, service(free).handle("GET", "/seats/hamlet/1", "c7").status(), "reservations are posted");
        equal(400, service(free).handle("POST", "/seats/hamlet/1", " ").status(), "a customer is needed");
    }
}
