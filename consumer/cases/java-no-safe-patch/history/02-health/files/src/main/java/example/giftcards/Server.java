package example.giftcards;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import example.giftcards.api.InsufficientFundsException;
import example.giftcards.api.LedgerUnavailableException;
import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The HTTP interface. */
public final class Server implements AutoCloseable {
    private static final Logger LOG = System.getLogger(Server.class.getName());
    private static final Pattern FORM = Pattern.compile("card=([A-Z0-9]{4,20})&cents=([1-9][0-9]{0,8})");

    private final HttpServer http;
    private final ExecutorService workers = Executors.newFixedThreadPool(32);
    private final Redemptions redemptions;

    private Server(HttpServer http, Redemptions redemptions) {
        this.http = http;
        this.redemptions = redemptions;
    }

    /** Starts with the settings of a file; port and ledger may be given instead, for tests. */
    public static Server start(Path file, Integer port, String ledger) throws IOException {
        Properties settings = new Properties();
        try (var reader = Files.newBufferedReader(file)) {
            settings.load(reader);
        }
        String url = ledger != null ? ledger : settings.getProperty("ledger.url");
        HttpLedger client = new HttpLedger(url, Integer.parseInt(settings.getProperty("ledger.timeout-ms")));
        Redemptions redemptions = new Redemptions(
                client,
                Integer.parseInt(settings.getProperty("ledger.attempts")),
                Long.parseLong(settings.getProperty("ledger.pause-ms")));
        int listen = port != null ? port : Integer.parseInt(settings.getProperty("listen.port"));
        Server server = new Server(HttpServer.create(new InetSocketAddress("127.0.0.1", listen), 0), redemptions);
        server.http.setExecutor(server.workers);
        server.http.createContext("/redemptions", server::redeem);
        server.http.createContext("/healthz", exchange -> answer(exchange, 200, "up"));
        server.http.start();
        return server;
    }

    public int port() {
        return http.getAddress().getPort();
    }

    private void redeem(HttpExchange exchange) throws IOException {
        String id = exchange.getRequestHeaders().getFirst("X-Request-Id");
        String body = new String(exchange.getRequestBody().readNBytes(1024), StandardCharsets.UTF_8);
        Matcher form = FORM.matcher(body.strip());
        if (!exchange.getRequestMethod().equals("POST") || !form.matches()) {
            answer(exchange, 400, "expected POST of card=...&cents=...");
            return;
        }
        try {
            long left = redemptions.redeem(form.group(1), Long.parseLong(form.group(2)));
            answer(exchange, 200, Long.toString(left));
        } catch (InsufficientFundsException e) {
            answer(exchange, 402, e.getMessage());
        } catch (LedgerUnavailableException e) {
            LOG.log(Level.ERROR, "request {0}: {1}", id, e.getMessage());
            answer(exchange, 503, "the ledger does not answer");
        }
    }

    private static void answer(HttpExchange exchange, int status, String text) throws IOException {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
        exchange.close();
    }

    @Override
    public void close() {
        http.stop(0);
        workers.shutdownNow();
    }

    public static void main(String[] args) throws IOException {
        start(Path.of(args.length > 0 ? args[0] : "config/giftcards.properties"), null, null);
    }
}
