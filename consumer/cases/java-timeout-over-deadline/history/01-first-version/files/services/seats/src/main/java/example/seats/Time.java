package example.seats;

/** The clock, so that tests need not wait. */
public interface Time {
    /** Milliseconds since some moment; never goes back. */
    long millis();

    /** Waits. */
    void sleep(long millis);

    /** The real one. */
    Time SYSTEM = new Time() {
        @Override
        public long millis() {
            return System.nanoTime() / 1_000_000;
        }

        @Override
        public void sleep(long millis) {
            try {
                Thread.sleep(millis);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    };
}
