package lease

import (
	"context"
	"errors"
	"testing"
	"time"
)

func desk(bound int, made *int) *Desk[int] {
	return NewDesk(bound, time.Millisecond, func() (int, error) {
		*made++
		return *made, nil
	})
}

func TestAThingIsLentAgain(t *testing.T) {
	made := 0
	d := desk(2, &made)
	for range 5 {
		if err := d.With(context.Background(), func(int) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if made != 1 {
		t.Fatalf("made %d", made)
	}
}

func TestABrokenThingIsNotLentAgainAndCostsNoPlace(t *testing.T) {
	made := 0
	d := desk(1, &made)
	broken := errors.New("broken")
	for range 3 {
		if err := d.With(context.Background(), func(int) error { return broken }); !errors.Is(err, broken) {
			t.Fatal(err)
		}
	}
	if made != 3 {
		t.Fatalf("made %d", made)
	}
}

func TestPatienceEnds(t *testing.T) {
	made := 0
	d := desk(1, &made)
	err := d.With(context.Background(), func(int) error {
		return d.With(context.Background(), func(int) error { return nil })
	})
	if !errors.Is(err, ErrNoneFree) {
		t.Fatal(err)
	}
}
