package main

import (
	"log"

	"shop.example/notify/internal/flags"
)

func main() {
	set, err := flags.Load("flags.json")
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("short texts: %t", set.Bool("short-texts", false))
}
