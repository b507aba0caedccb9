using System.Threading.Tasks;
using Microsoft.AspNetCore.Mvc;
using Xunit;
using FsCheck;
using FsCheck.Xunit;

namespace Shop.Shipping;

[ApiController]
[Route("api/[controller]")]
public class ShippingController : ControllerBase
{
    private readonly ICarrier _carrier;

    public ShippingController(ICarrier carrier) => _carrier = carrier;

    [HttpGet("{id}")]
    public async Task<Label> Find(string id, bool full = false)
    {
        return await _carrier.LabelAsync(id) ?? throw new NotFound(id);
    }

    [HttpPost, Authorize]
    public Label Create([FromBody] Parcel parcel, params string[] tags)
    {
        var weight = Weigh(parcel);
        return new Label(weight);
    }

    private static int Weigh(Parcel parcel)
    {
        int Clamp(int value) => value < 0 ? 0 : value;
        return Clamp(parcel.Grams);
    }

    [Fact]
    public void WeighsNothing() => Assert.Equal(0, Weigh(new Parcel(0)));

    [Property]
    public bool NeverNegative(int grams) => Weigh(new Parcel(grams)) >= 0;
}

public interface ICarrier
{
    Task<Label> LabelAsync(string id);
}

public static class Startup
{
    public static void Map(WebApplication app)
    {
        app.MapGet("/ready", () => "ok");
        app.MapPost("/labels", Print);
    }

    static string Print(Parcel parcel) => parcel.ToString();
}
