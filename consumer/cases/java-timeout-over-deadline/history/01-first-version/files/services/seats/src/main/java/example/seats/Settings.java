package example.seats;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;

/** What operations may tune; see {@code config/seats.properties}. */
public record Settings(int port, String inventoryUrl, int timeoutMillis, int attempts, int pauseMillis) {

    public Settings {
        if (timeoutMillis < 1 || attempts < 1 || pauseMillis < 0) {
            throw new IllegalArgumentException("time-out and attempts must be positive, the pause not negative");
        }
    }

    /** Reads the file; a missing key is an error. */
    public static Settings load(Path file) throws IOException {
        Properties properties = new Properties();
        try (Reader reader = Files.newBufferedReader(file)) {
            properties.load(reader);
        }
        return new Settings(
                number(properties, "listen.port"),
                text(properties, "inventory.url"),
                number(properties, "inventory.timeout-ms"),
                number(properties, "inventory.attempts"),
                number(properties, "inventory.pause-ms"));
    }

    private static String text(Properties properties, String key) {
        String value = properties.getProperty(key);
        if (value == null) {
            throw new IllegalArgumentException("missing key " + key);
        }
        return value.trim();
    }

    private static int number(Properties properties, String key) {
        return Integer.parseInt(text(properties, key));
    }
}
