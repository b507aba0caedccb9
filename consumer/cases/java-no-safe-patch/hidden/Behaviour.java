import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import example.giftcards.Server;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;

/** From HTTP to HTTP: a lost answer of the ledger costs the customer nothing, and two redemptions remain two. */
public final class Behaviour {
    /** A ledger that debits and then loses its first answers. It knows idempotency keys, as the real one does. */
    private static final class Ledger {
        final HttpServer http;
        final AtomicInteger lose = new AtomicInteger();
        final Map<String, Long> answered = new ConcurrentHashMap<>();
        long left = 10_000;

        Ledger() throws IOException {
            http = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
            http.setExecutor(Executors.newCachedThreadPool(task -> {
                Thread thread = new Thread(task);
                thread.setDaemon(true);
                return thread;
            }));
            http.createContext("/debits", this::debit);
            http.start();
        }

        synchronized void debit(HttpExchange exchange) throws IOException {
            String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
            long cents = Long.parseLong(body.replaceAll(".*cents=([0-9]+).*", "$1"));
            String key = exchange.getRequestHeaders().getFirst("Idempotency-Key");
            Long before = key == null ? null : answered.get(key);
            if (before == null) {
                left -= cents;
                before = left;
                if (key != null) {
                    answered.put(key, before);
                }
            }
            if (lose.getAndDecrement() > 0) {
                // The connection ends without an answer.
                exchange.close();
                return;
            }
            byte[] bytes = Long.toString(before).getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(200, bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        }

        synchronized long left() {
            return left;
        }
    }

    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    private static int redeem(Server server, String id) throws Exception {
        URI uri = URI.create("http://127.0.0.1:" + server.port() + "/redemptions");
        HttpRequest request = HttpRequest.newBuilder(uri)
                .header("X-Request-Id", id)
                .POST(HttpRequest.BodyPublishers.ofString("card=CARD1&cents=500"))
                .build();
        return CLIENT.send(request, HttpResponse.BodyHandlers.ofString()).statusCode();
    }

    private static void equal(long want, long got, String what) {
        if (want != got) {
            System.out.println("FAIL " + what + ": expected " + want + ", got " + got);
            System.exit(1);
        }
        System.out.println("ok " + what);
    }

    public static void main(String[] args) throws Exception {
        Ledger ledger = new Ledger();
        String url = "http://127.0.0.1:" + ledger.http.getAddress().getPort();
        try (Server server = Server.start(Path.of(args[0]), 0, url)) {
            equal(200, redeem(server, "r1"), "a redemption");
            equal(9500, ledger.left(), "takes its money");
            equal(200, redeem(server, "r2"), "another one of the same amount");
            equal(9000, ledger.left(), "takes its own money");
            ledger.lose.set(1);
            int status = redeem(server, "r3");
            // As the gateway does it: the same request again until it is answered.
            for (int again = 0; status != 200 && again < 3; again++) {
                status = redeem(server, "r3");
            }
            equal(200, status, "a lost answer is survived");
            equal(8500, ledger.left(), "a lost answer takes the money once");
            ledger.lose.set(0);
            redeem(server, "r4");
            equal(200, redeem(server, "r4"), "the gateway may send a request again");
            equal(8000, ledger.left(), "which takes the money once");
        }
        System.exit(0);
    }
}
