package example.seats;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The route, without a server. */
public final class SeatService {
    private static final Logger LOG = System.getLogger(SeatService.class.getName());
    private static final Pattern ROUTE = Pattern.compile("/seats/([A-Za-z0-9]+)/([A-Za-z0-9]+)");

    /** An answer. */
    public record Answer(int status, String body) {}

    private final InventoryClient inventory;

    public SeatService(InventoryClient inventory) {
        this.inventory = inventory;
    }

    /** One request; the body names the customer. */
    public Answer handle(String method, String path, String body) {
        Matcher match = ROUTE.matcher(path);
        if (!match.matches()) {
            return new Answer(404, "expected /seats/{show}/{seat}");
        }
        if (!method.equals("POST")) {
            return new Answer(405, "expected POST");
        }
        if (body.isBlank()) {
            return new Answer(400, "expected a customer");
        }
        try {
            boolean reserved = inventory.reserve(match.group(1), match.group(2), body.strip());
            return reserved ? new Answer(201, "reserved") : new Answer(409, "taken");
        } catch (IOException e) {
            LOG.log(Level.ERROR, "no reservation of {0}: {1}", match.group(2), e.getMessage());
            return new Answer(503, "the venue does not answer");
        }
    }
}
