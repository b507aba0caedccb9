package example.giftcards;

import example.giftcards.api.InsufficientFundsException;
import example.giftcards.api.LedgerApi;
import example.giftcards.api.LedgerUnavailableException;

/** All tests; the exit code is 1 if one fails. */
public final class GiftCardsTest {
    private GiftCardsTest() {}

    /** A ledger with one card, which is not there for the first {@code outages} debits. */
    private static final class OneCard implements LedgerApi {
        long left = 5000;
        int outages;
        int calls;

        OneCard(int outages) {
            this.outages = outages;
        }

        @Override
        public long debit(String card, long cents) throws InsufficientFundsException, LedgerUnavailableException {
            calls++;
            if (outages-- > 0) {
                throw new LedgerUnavailableException("down", null);
            }
            if (cents > left) {
                throw new InsufficientFundsException("not enough");
            }
            left -= cents;
            return left;
        }
    }

    private static void equal(long want, long got, String what) {
        if (want != got) {
            throw new AssertionError(what + ": expected " + want + ", got " + got);
        }
        System.out.println("ok " + what);
    }

    public static void main(String[] args) throws Exception {
        equal(3800, new Redemptions(new OneCard(0), 3, 0).redeem("CARD1", 1200), "a card is redeemed");
        OneCard shaky = new OneCard(2);
        equal(3800, new Redemptions(shaky, 3, 0).redeem("CARD1", 1200), "an outage is survived");
        equal(3, shaky.calls, "with another try for each outage");
        OneCard down = new OneCard(100);
        try {
            new Redemptions(down, 3, 0).redeem("CARD1", 1200);
            throw new AssertionError("expected an exception");
        } catch (LedgerUnavailableException e) {
            equal(3, down.calls, "a long outage is said");
        }
        OneCard poor = new OneCard(0);
        try {
            new Redemptions(poor, 3, 0).redeem("CARD1", 9000);
            throw new AssertionError("expected an exception");
        } catch (InsufficientFundsException e) {
            equal(1, poor.calls, "an empty card is final");
        }
    }
}
