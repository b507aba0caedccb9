package shop.bookings;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The part of YAML that application.yml uses: nested maps of scalars. */
public final class Conf {
    private final Map<String, String> values = new HashMap<>();

    public static Conf load(Path file) throws IOException {
        Conf conf = new Conf();
        List<String> path = new ArrayList<>();
        for (String line : Files.readAllLines(file)) {
            String text = line.strip();
            if (text.isEmpty() || text.startsWith("#")) {
                continue;
            }
            int depth = (line.length() - line.stripLeading().length()) / 2;
            while (path.size() > depth) {
                path.remove(path.size() - 1);
            }
            int colon = text.indexOf(':');
            path.add(text.substring(0, colon));
            String value = text.substring(colon + 1).strip();
            if (!value.isEmpty()) {
                conf.values.put(String.join(".", path), value);
            }
        }
        return conf;
    }

    public int number(String key) {
        return Integer.parseInt(values.get(key));
    }
}
