// Package checkout is the route POST /checkout.
package checkout

import (
	"encoding/json"
	"log/slog"
	"net/http"

	"shop.example/checkout/internal/config"
	"shop.example/checkout/internal/stock"
	"shop.example/checkout/internal/tax"
)

// Order is what the gateway sends.
type Order struct {
	SKU        string `json:"sku"`
	Quantity   int    `json:"quantity"`
	PriceCents int64  `json:"price_cents"`
	Country    string `json:"country"`
}

type handler struct {
	stock *stock.Client
	tax   *tax.Client
}

// NewHandler makes the service's routes.
func NewHandler(config config.Config) http.Handler {
	h := &handler{stock: stock.New(config.Stock), tax: tax.New(config.Tax)}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /checkout", h.checkout)
	return routes
}

func (h *handler) checkout(w http.ResponseWriter, r *http.Request) {
	var order Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&order); err != nil || order.Quantity < 1 {
		refuse(w, http.StatusBadRequest, "expected an order with a quantity")
		return
	}
	available, err := h.stock.Available(r.Context(), order.SKU)
	if err != nil {
		slog.Error("stock is not known", "sku", order.SKU, "error", err)
		refuse(w, http.StatusBadGateway, "stock is not known at the moment")
		return
	}
	if available < order.Quantity {
		refuse(w, http.StatusConflict, "not in stock")
		return
	}
	net := order.PriceCents * int64(order.Quantity)
	due, err := h.tax.Of(order.Country, net)
	if err != nil {
		slog.Error("tax is not known", "country", order.Country, "error", err)
		refuse(w, http.StatusBadGateway, "tax is not known at the moment")
		return
	}
	write(w, http.StatusOK, map[string]int64{"net_cents": net, "tax_cents": due, "total_cents": net + due})
}

func refuse(w http.ResponseWriter, status int, why string) {
	write(w, status, map[string]string{"error": why})
}

func write(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(document); err != nil {
		slog.Warn("the answer was not sent", "error", err)
	}
}
