package example.giftcards.api;

/**
 * What can be done with the money on a card.
 *
 * <p>Published interface, version 2: see the README before changing it.
 */
public interface LedgerApi {
    /**
     * Takes money off a card.
     *
     * @return what is left, in cents
     * @throws InsufficientFundsException if there is less on the card
     * @throws LedgerUnavailableException if the ledger did not say whether it was done
     */
    long debit(String card, long cents) throws InsufficientFundsException, LedgerUnavailableException;
}
