package shop.bookings;

import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;

/** Lends connections to the database, not more than the configured number at once. */
public final class Pool {
    private final Semaphore free;
    private final long patience;

    public Pool(int size, long patience) {
        this.free = new Semaphore(size, true);
        this.patience = patience;
    }

    /** What runs with a connection. */
    public interface Work<T> {
        T run() throws InterruptedException;
    }

    public <T> T with(Work<T> work) throws InterruptedException {
        if (!free.tryAcquire(patience, TimeUnit.MILLISECONDS)) {
            throw new IllegalStateException("Connection is not available, request timed out after " + patience + "ms.");
        }
        try {
            return work.run();
        } finally {
            free.release();
        }
    }
}
