package checkout

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"shop.example/checkout/internal/config"
)

// answers starts a service that gives one answer to everything.
func answers(t *testing.T, status int, body string) config.Upstream {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return config.Upstream{URL: server.URL, TimeoutMS: 1000}
}

func post(stock, tax config.Upstream, body string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/checkout", strings.NewReader(body))
	NewHandler(config.Config{Stock: stock, Tax: tax}).ServeHTTP(recorder, request)
	return recorder
}

const order = `{"sku":"lamp","quantity":2,"price_cents":1000,"country":"DE"}`

func TestSaysWhatAnOrderCosts(t *testing.T) {
	got := post(answers(t, 200, `{"available":5}`), answers(t, 200, `{"cents":380}`), order)
	want := `{"net_cents":2000,"tax_cents":380,"total_cents":2380}`
	if got.Code != 200 || strings.TrimSpace(got.Body.String()) != want {
		t.Fatalf("got %d %s", got.Code, got.Body)
	}
}

func TestRefusesWhatIsNotInStock(t *testing.T) {
	if got := post(answers(t, 200, `{"available":1}`), answers(t, 200, `{}`), order); got.Code != 409 {
		t.Fatalf("got %d", got.Code)
	}
}

func TestSaysWhenAServiceFails(t *testing.T) {
	works, fails := answers(t, 200, `{"available":5,"cents":1}`), answers(t, 500, ``)
	if got := post(fails, works, order); got.Code != 502 {
		t.Fatalf("stock fails: got %d", got.Code)
	}
	if got := post(works, fails, order); got.Code != 502 {
		t.Fatalf("tax fails: got %d", got.Code)
	}
	if got := post(works, answers(t, 200, `{"cents":-1}`), order); got.Code != 502 {
		t.Fatalf("tax is negative: got %d", got.Code)
	}
	if got := post(works, answers(t, 200, `no json`), order); got.Code != 502 {
		t.Fatalf("tax babbles: got %d", got.Code)
	}
}

func TestRefusesNonsense(t *testing.T) {
	none := config.Upstream{}
	for _, body := range []string{``, `[]`, `{"sku":"lamp","quantity":0}`} {
		if got := post(none, none, body); got.Code != 400 {
			t.Fatalf("%s: got %d", body, got.Code)
		}
	}
}
