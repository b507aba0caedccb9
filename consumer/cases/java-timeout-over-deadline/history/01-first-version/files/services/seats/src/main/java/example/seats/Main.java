package example.seats;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.Executors;

/** The program. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws IOException {
        Settings settings = Settings.load(Path.of(args.length > 0 ? args[0] : "config/seats.properties"));
        SeatService service = new SeatService(new InventoryClient(settings, new HttpTransport(), Time.SYSTEM));
        HttpServer server = HttpServer.create(new InetSocketAddress(settings.port()), 0);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.createContext("/", exchange -> {
            String body = new String(exchange.getRequestBody().readNBytes(1024), StandardCharsets.UTF_8);
            SeatService.Answer answer =
                    service.handle(exchange.getRequestMethod(), exchange.getRequestURI().getPath(), body);
            byte[] bytes = answer.body().getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(answer.status(), bytes.length);
            exchange.getResponseBody().write(bytes);
            exchange.close();
        });
        server.start();
    }
}
