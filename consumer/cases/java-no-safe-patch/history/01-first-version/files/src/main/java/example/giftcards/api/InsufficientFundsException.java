package example.giftcards.api;

/** There is less on the card than shall be taken. */
public final class InsufficientFundsException extends Exception {
    private static final long serialVersionUID = 1;

    public InsufficientFundsException(String message) {
        super(message);
    }
}
