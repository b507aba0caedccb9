package example.giftcards.api;

/** The ledger did not answer, or not as agreed. */
public final class LedgerUnavailableException extends Exception {
    private static final long serialVersionUID = 1;

    public LedgerUnavailableException(String message, Throwable cause) {
        super(message, cause);
    }
}
