import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import shop.bookings.Bookings;
import shop.bookings.Conf;

/** The traffic of the evening: eighteen at once of 300 ms each. */
public final class Behaviour {
    public static void main(String[] args) throws Exception {
        Conf conf = Conf.load(Path.of("src/main/resources/application.yml"));
        // Held for ever: how many connections are taken at most?
        AtomicInteger busy = new AtomicInteger();
        CountDownLatch over = new CountDownLatch(1);
        Bookings greedy = new Bookings(conf, guest -> { busy.incrementAndGet(); over.await(); return "[]"; });
        ExecutorService many = Executors.newCachedThreadPool();
        for (int i = 0; i < 90; i++) { many.submit(() -> greedy.get("g")); }
        Thread.sleep(900);
        int taken = busy.get();
        over.countDown();
        if (taken > 48) { throw new AssertionError("takes " + taken + " connections, 48 are granted"); }

        Bookings bookings = new Bookings(conf, guest -> { Thread.sleep(300); return "[]"; });
        int failed = 0;
        List<Future<Integer>> answers = new ArrayList<>();
        for (int i = 0; i < 54; i++) {
            answers.add(many.submit(() -> bookings.get("g")));
            Thread.sleep(17);
        }
        for (Future<Integer> answer : answers) { if (answer.get(9, TimeUnit.SECONDS) != 200) { failed++; } }
        many.shutdownNow();
        if (failed > 0) { System.out.println(failed + " of 54 found no connection"); System.exit(1); }
        System.out.println("ok");
    }
}
