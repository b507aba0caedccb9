package example.giftcards;

import example.giftcards.api.InsufficientFundsException;
import example.giftcards.api.LedgerApi;
import example.giftcards.api.LedgerUnavailableException;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.time.Duration;

/** The ledger by HTTP. */
public final class HttpLedger implements LedgerApi {
    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final URI debits;
    private final Duration timeout;

    public HttpLedger(String url, int timeoutMillis) {
        this.debits = URI.create(url + "/debits");
        this.timeout = Duration.ofMillis(timeoutMillis);
    }

    @Override
    public long debit(String card, long cents) throws InsufficientFundsException, LedgerUnavailableException {
        HttpRequest request = HttpRequest.newBuilder(debits)
                .timeout(timeout)
                .POST(BodyPublishers.ofString("card=" + card + "&cents=" + cents))
                .build();
        try {
            HttpResponse<String> response = client.send(request, BodyHandlers.ofString());
            switch (response.statusCode()) {
                case 200:
                    return Long.parseLong(response.body().strip());
                case 402:
                    throw new InsufficientFundsException("less than " + cents + " cents on the card");
                default:
                    throw new LedgerUnavailableException("ledger answered " + response.statusCode(), null);
            }
        } catch (IOException | NumberFormatException e) {
            throw new LedgerUnavailableException("no answer of the ledger: " + e.getMessage(), e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new LedgerUnavailableException("interrupted", e);
        }
    }
}
