package example.seats;

import java.io.IOException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/** The inventory of the venue. */
public final class InventoryClient {
    private static final Logger LOG = System.getLogger(InventoryClient.class.getName());

    private final Settings settings;
    private final Transport transport;
    private final Time time;

    public InventoryClient(Settings settings, Transport transport, Time time) {
        this.settings = settings;
        this.transport = transport;
        this.time = time;
    }

    /**
     * Reserves a seat.
     *
     * @return false if it is taken
     * @throws IOException if the inventory does not say
     */
    public boolean reserve(String show, String seat, String customer) throws IOException {
        String url = settings.inventoryUrl() + "/shows/" + show + "/seats/" + seat;
        IOException last = null;
        for (int attempt = 1; attempt <= settings.attempts(); attempt++) {
            if (attempt > 1) {
                time.sleep(settings.pauseMillis());
            }
            try {
                int status = transport.post(url, customer, settings.timeoutMillis());
                if (status == 200 || status == 409) {
                    return status == 200;
                }
                last = new IOException("inventory answered " + status);
            } catch (IOException e) {
                last = e;
            }
            LOG.log(Level.WARNING, "attempt {0} for seat {1} of {2} failed: {3}", attempt, seat, show, last.getMessage());
        }
        throw last;
    }
}
