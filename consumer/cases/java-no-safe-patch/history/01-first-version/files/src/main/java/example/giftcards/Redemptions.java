package example.giftcards;

import example.giftcards.api.InsufficientFundsException;
import example.giftcards.api.LedgerApi;
import example.giftcards.api.LedgerUnavailableException;
import java.lang.System.Logger;
import java.lang.System.Logger.Level;

/** Redeems cards. */
public final class Redemptions {
    private static final Logger LOG = System.getLogger(Redemptions.class.getName());

    private final LedgerApi ledger;
    private final int attempts;
    private final long pauseMillis;

    public Redemptions(LedgerApi ledger, int attempts, long pauseMillis) {
        this.ledger = ledger;
        this.attempts = attempts;
        this.pauseMillis = pauseMillis;
    }

    /** Takes money off a card and says what is left. */
    public long redeem(String card, long cents) throws InsufficientFundsException, LedgerUnavailableException {
        for (int attempt = 1; ; attempt++) {
            try {
                return ledger.debit(card, cents);
            } catch (LedgerUnavailableException e) {
                LOG.log(Level.WARNING, "debit of {0} cents, attempt {1}: {2}", cents, attempt, e.getMessage());
                if (attempt >= attempts) {
                    throw e;
                }
                pause(attempt);
            }
        }
    }

    private void pause(int attempt) {
        try {
            // Growing, and by chance, so that instances do not come back in step.
            Thread.sleep((long) (pauseMillis * attempt * (0.5 + Math.random())));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
