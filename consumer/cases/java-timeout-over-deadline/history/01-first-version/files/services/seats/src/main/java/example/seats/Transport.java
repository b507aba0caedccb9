package example.seats;

import java.io.IOException;

/** Sends a request to the inventory. */
public interface Transport {
    /**
     * Posts and waits for the answer's status.
     *
     * @throws IOException when there is no answer within the time-out, or no connection
     */
    int post(String url, String body, int timeoutMillis) throws IOException;
}
