package shop.orders;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Features as the file says; what is not there is off. */
public final class Features {
    private final String text;

    private Features(String text) {
        this.text = text;
    }

    public static Features load(Path file) throws IOException {
        return new Features(Files.readString(file));
    }

    public boolean on(String name) {
        Matcher found = Pattern.compile("\"" + Pattern.quote(name) + "\"\\s*:\\s*\\{\\s*\"on\"\\s*:\\s*(true|false)").matcher(text);
        return found.find() && found.group(1).equals("true");
    }
}
