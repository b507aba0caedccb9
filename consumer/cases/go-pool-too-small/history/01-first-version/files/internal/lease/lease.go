// Package lease lends a bounded number of things to those who ask.
package lease

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNoneFree says that nothing came back in time.
var ErrNoneFree = errors.New("lease: none is free")

// Desk lends things of one kind; it makes one when none lies on the shelf and the bound allows.
type Desk[T any] struct {
	make     func() (T, error)
	tickets  chan struct{}
	patience time.Duration
	mutex    sync.Mutex
	shelf    []T
}

// NewDesk makes a desk that lends at most `bound` things at a time.
func NewDesk[T any](bound int, patience time.Duration, make_ func() (T, error)) *Desk[T] {
	return &Desk[T]{make: make_, tickets: make(chan struct{}, bound), patience: patience}
}

// With lends one thing for the length of `use`. A thing whose use failed is not lent again.
func (d *Desk[T]) With(ctx context.Context, use func(T) error) error {
	if err := d.ticket(ctx); err != nil {
		return err
	}
	defer func() { <-d.tickets }()
	thing, found := d.fromShelf()
	if !found {
		var err error
		if thing, err = d.make(); err != nil {
			return err
		}
	}
	if err := use(thing); err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.shelf = append(d.shelf, thing)
	return nil
}

func (d *Desk[T]) ticket(ctx context.Context) error {
	patience := time.NewTimer(d.patience)
	defer patience.Stop()
	select {
	case d.tickets <- struct{}{}:
		return nil
	case <-patience.C:
		return ErrNoneFree
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Desk[T]) fromShelf() (thing T, found bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if last := len(d.shelf) - 1; last >= 0 {
		thing, found = d.shelf[last], true
		d.shelf = d.shelf[:last]
	}
	return thing, found
}
