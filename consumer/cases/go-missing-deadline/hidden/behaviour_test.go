// Package behaviour asks whether a checkout ends before the gateway stops waiting, whatever tax does.
package behaviour

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"shop.example/checkout/internal/checkout"
	"shop.example/checkout/internal/config"
)

// gatewayWaits is in the README.
const gatewayWaits = 2 * time.Second

// checkoutWith posts an order to the service as configured, with other addresses. Status 0: no answer in time.
func checkoutWith(t *testing.T, tax func(http.ResponseWriter, *http.Request, <-chan struct{})) int {
	t.Helper()
	settings, err := config.Load("../config/checkout.json")
	if err != nil {
		t.Fatal(err)
	}
	stock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"available":5}`)
	}))
	t.Cleanup(stock.Close)
	over := make(chan struct{})
	taxes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tax(w, r, over) }))
	t.Cleanup(taxes.Close)
	// Clean-ups run last first: whoever hangs must end before the server can close.
	t.Cleanup(func() { close(over) })
	settings.Stock.URL, settings.Tax.URL = stock.URL, taxes.URL
	handler := checkout.NewHandler(settings)
	status := make(chan int, 1)
	go func() {
		recorder := httptest.NewRecorder()
		order := `{"sku":"lamp","quantity":2,"price_cents":1000,"country":"DE"}`
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, "/checkout", strings.NewReader(order)))
		status <- recorder.Code
	}()
	select {
	case code := <-status:
		return code
	case <-time.After(gatewayWaits):
		return 0
	}
}

func TestATaxServiceThatHangs(t *testing.T) {
	t.Parallel()
	code := checkoutWith(t, func(_ http.ResponseWriter, _ *http.Request, over <-chan struct{}) { <-over })
	if code < 500 {
		t.Fatalf("status %d (0: no answer within %s)", code, gatewayWaits)
	}
}

func TestATaxServiceThatStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	code := checkoutWith(t, func(w http.ResponseWriter, _ *http.Request, over <-chan struct{}) {
		fmt.Fprint(w, `{"cents":`)
		w.(http.Flusher).Flush()
		<-over
	})
	if code < 500 {
		t.Fatalf("status %d (0: no answer within %s)", code, gatewayWaits)
	}
}

func TestASlowTaxServiceIsStillHeard(t *testing.T) {
	t.Parallel()
	code := checkoutWith(t, func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}) {
		time.Sleep(250 * time.Millisecond)
		fmt.Fprint(w, `{"cents":380}`)
	})
	if code != http.StatusOK {
		t.Fatalf("status %d although tax answers within its usual 250 ms", code)
	}
}
