import example.seats.InventoryClient;
import example.seats.SeatService;
import example.seats.Settings;
import example.seats.Time;
import example.seats.Transport;
import java.io.IOException;
import java.nio.file.Path;

/** A reservation must end before the gateway gives up, and usual answers must still be waited for. */
public final class Behaviour {
    /** services/gateway/routes.properties */
    private static final long GATEWAY_WAITS = 1500;

    /** A venue and a clock that moves with what it does. */
    private static final class World implements Time, Transport {
        final int status;
        final long answersAfter;
        long now = 1_000_000;
        int calls;

        World(int status, long answersAfter) {
            this.status = status;
            this.answersAfter = answersAfter;
        }

        @Override
        public long millis() {
            return now;
        }

        @Override
        public void sleep(long millis) {
            now += millis;
        }

        @Override
        public int post(String url, String body, int timeoutMillis) throws IOException {
            calls++;
            if (calls > 1000) {
                throw new IllegalStateException("a thousand calls for one reservation");
            }
            now += Math.min(answersAfter, timeoutMillis);
            if (answersAfter > timeoutMillis) {
                throw new IOException("timed out after " + timeoutMillis + " ms");
            }
            return status;
        }
    }

    private static SeatService.Answer reserve(World world, Path settings) throws IOException {
        return new SeatService(new InventoryClient(Settings.load(settings), world, world))
                .handle("POST", "/seats/hamlet/12B", "c7");
    }

    private static void hold(boolean holds, String what) {
        if (!holds) {
            System.out.println("FAIL " + what);
            System.exit(1);
        }
    }

    public static void main(String[] args) throws IOException {
        Path settings = Path.of(args[0]);
        // Silence, late answers, late failures and quick failures.
        for (long after : new long[] {Long.MAX_VALUE, 4000, 1600, 1000, 650, 5}) {
            World world = new World(500, after);
            long began = world.now;
            SeatService.Answer answer = reserve(world, settings);
            long took = world.now - began;
            hold(answer.status() >= 500, "a venue that fails after " + after + " ms: " + answer);
            hold(took <= GATEWAY_WAITS, "a venue that fails after " + after + " ms held the request for " + took + " ms");
        }
        for (long after : new long[] {20, 320, 400}) {
            SeatService.Answer answer = reserve(new World(200, after), settings);
            hold(answer.status() == 201, "a venue that answers after " + after + " ms is not heard: " + answer);
        }
        System.out.println("ok");
    }
}
