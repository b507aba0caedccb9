module shop.example/notify

go 1.22
