use parcels::settings::Settings;

fn main() {
    let settings = Settings::load("parcels.toml").expect("parcels.toml");
    println!("{settings:?}");
}
