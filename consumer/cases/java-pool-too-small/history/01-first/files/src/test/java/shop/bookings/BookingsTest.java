package shop.bookings;

import java.nio.file.Path;

/** The tests, without a framework. */
public final class BookingsTest {
    public static void main(String[] args) throws Exception {
        Conf conf = Conf.load(Path.of("src/main/resources/application.yml"));
        if (new Bookings(conf, guest -> "[]").get("mo") != 200) {
            throw new AssertionError("a quiet table answers");
        }
        if (conf.number("bookings.page-size") != 20) {
            throw new AssertionError("page size");
        }
        System.out.println("ok");
    }
}
