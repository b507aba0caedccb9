import java.nio.file.Path;
import shop.orders.Features;
import shop.orders.Orders;

/** A sale of 500 orders, 300 in stock. */
public final class Behaviour {
    public static void main(String[] args) throws Exception {
        Features features = Features.load(Path.of("conf/features.json"));
        int[] left = {300};
        Orders orders = new Orders(features, sku -> left[0]-- > 0);
        int[] by = new int[600];
        for (int i = 0; i < 500; i++) { by[orders.post("lamp")]++; }
        if (by[503] > 0) { System.out.println(by[503] + " orders refused"); System.exit(1); }
        if (by[201] != 300 || by[409] != 200) { System.out.println("accepted " + by[201]); System.exit(1); }
        if (!features.on("gift-wrap") || !features.on("new-emails")) { System.out.println("other features went off"); System.exit(1); }
        System.out.println("ok");
    }
}
