"""Cities with their coordinates, for questions about the weather."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True, slots=True)
class Place:
    """A city and its coordinates in degrees."""

    name: str
    lat: float
    lng: float


_LINES = """
Accra 5.56 -0.20; Addis Ababa 9.03 38.74; Adelaide -34.93 138.60; Algiers 36.75 3.06; Almaty 43.24 76.89;
Amman 31.95 35.93; Amsterdam 52.37 4.90; Anchorage 61.22 -149.90; Ankara 39.93 32.86; Antwerp 51.22 4.40;
Asuncion -25.26 -57.58; Athens 37.98 23.73; Atlanta 33.75 -84.39; Auckland -36.85 174.76; Austin 30.27 -97.74;
Baghdad 33.32 44.37; Baku 40.41 49.87; Bangalore 12.97 77.59; Bangkok 13.76 100.50; Barcelona 41.39 2.17;
Basel 47.56 7.59; Beijing 39.90 116.41; Beirut 33.89 35.50; Belgrade 44.79 20.45; Bergen 60.39 5.32;
Berlin 52.52 13.40; Bern 46.95 7.45; Bogota 4.71 -74.07; Bologna 44.49 11.34; Bordeaux 44.84 -0.58;
Boston 42.36 -71.06; Brasilia -15.79 -47.88; Bratislava 48.15 17.11; Brisbane -27.47 153.03; Bristol 51.45 -2.59;
Brussels 50.85 4.35; Bucharest 44.43 26.10; Budapest 47.50 19.04; Buenos Aires -34.60 -58.38; Cairo 30.04 31.24;
Calgary 51.04 -114.07; Canberra -35.28 149.13; Cape Town -33.92 18.42; Caracas 10.48 -66.90; Cardiff 51.48 -3.18;
Casablanca 33.57 -7.59; Chennai 13.08 80.27; Chicago 41.88 -87.63; Cologne 50.94 6.96; Copenhagen 55.68 12.57;
Cusco -13.53 -71.97; Dakar 14.72 -17.47; Dallas 32.78 -96.80; Delhi 28.61 77.21; Denver 39.74 -104.99;
Detroit 42.33 -83.05; Dhaka 23.81 90.41; Doha 25.29 51.53; Dresden 51.05 13.74; Dubai 25.20 55.27;
Dublin 53.35 -6.26; Edinburgh 55.95 -3.19; Florence 43.77 11.26; Frankfurt 50.11 8.68; Geneva 46.20 6.14;
Glasgow 55.86 -4.25; Gothenburg 57.71 11.97; Granada 37.18 -3.60; Graz 47.07 15.44; Guadalajara 20.66 -103.35;
Hamburg 53.55 9.99; Hanoi 21.03 105.85; Havana 23.11 -82.37; Helsinki 60.17 24.94; Hong Kong 22.32 114.17;
Honolulu 21.31 -157.86; Houston 29.76 -95.37; Innsbruck 47.27 11.39; Istanbul 41.01 28.98; Jakarta -6.21 106.85;
Jerusalem 31.77 35.21; Johannesburg -26.20 28.05; Kabul 34.56 69.21; Kampala 0.35 32.58; Karachi 24.86 67.00;
Kathmandu 27.72 85.32; Kigali -1.94 30.06; Kingston 17.97 -76.79; Kinshasa -4.44 15.27; Krakow 50.06 19.94;
Kyiv 50.45 30.52; Kyoto 35.01 135.77; La Paz -16.49 -68.12; Lagos 6.52 3.38; Lahore 31.55 74.34;
Las Vegas 36.17 -115.14; Leeds 53.80 -1.55; Leipzig 51.34 12.37; Lima -12.05 -77.04; Lisbon 38.72 -9.14;
Liverpool 53.41 -2.99; Ljubljana 46.06 14.51; London 51.51 -0.13; Los Angeles 34.05 -118.24; Lusaka -15.39 28.32;
Luxembourg 49.61 6.13; Lyon 45.76 4.84; Madrid 40.42 -3.70; Malaga 36.72 -4.42; Manchester 53.48 -2.24;
Manila 14.60 120.98; Marrakesh 31.63 -7.99; Marseille 43.30 5.37; Melbourne -37.81 144.96; Mexico City 19.43 -99.13;
Miami 25.76 -80.19; Milan 45.46 9.19; Minneapolis 44.98 -93.27; Minsk 53.90 27.57; Montevideo -34.90 -56.16;
Montreal 45.50 -73.57; Moscow 55.76 37.62; Mumbai 19.08 72.88; Munich 48.14 11.58; Nairobi -1.29 36.82;
Naples 40.85 14.27; New Orleans 29.95 -90.07; New York 40.71 -74.01; Nice 43.71 7.26; Nicosia 35.19 33.38;
Osaka 34.69 135.50; Oslo 59.91 10.75; Ottawa 45.42 -75.70; Oxford 51.75 -1.26; Palermo 38.12 13.36;
Panama City 8.98 -79.52; Paris 48.86 2.35; Perth -31.95 115.86; Philadelphia 39.95 -75.17; Phoenix 33.45 -112.07;
Porto 41.15 -8.61; Portland 45.52 -122.68; Prague 50.08 14.44; Pretoria -25.75 28.19; Quebec 46.81 -71.21;
Quito -0.18 -78.47; Rabat 34.02 -6.84; Reykjavik 64.15 -21.94; Riga 56.95 24.11; Rio de Janeiro -22.91 -43.17;
Riyadh 24.71 46.68; Rome 41.90 12.50; Rotterdam 51.92 4.48; Salzburg 47.81 13.06; San Diego 32.72 -117.16;
San Francisco 37.77 -122.42; San Jose 37.34 -121.89; Santiago -33.45 -70.67; Santo Domingo 18.49 -69.93;
Sao Paulo -23.55 -46.63; Sarajevo 43.86 18.41; Seattle 47.61 -122.33; Seoul 37.57 126.98; Seville 37.39 -5.98;
Shanghai 31.23 121.47; Singapore 1.35 103.82; Skopje 42.00 21.43; Sofia 42.70 23.32; Stockholm 59.33 18.07;
Stuttgart 48.78 9.18; Sydney -33.87 151.21; Taipei 25.03 121.57; Tallinn 59.44 24.75; Tbilisi 41.72 44.79;
Tehran 35.69 51.39; Tel Aviv 32.09 34.78; Tirana 41.33 19.82; Tokyo 35.68 139.69; Toronto 43.65 -79.38;
Toulouse 43.60 1.44; Trieste 45.65 13.78; Tunis 36.81 10.18; Turin 45.07 7.69; Ulaanbaatar 47.89 106.91;
Utrecht 52.09 5.12; Valencia 39.47 -0.38; Valletta 35.90 14.51; Vancouver 49.28 -123.12; Venice 45.44 12.32;
Vienna 48.21 16.37; Vilnius 54.69 25.28; Warsaw 52.23 21.01; Washington 38.91 -77.04; Wellington -41.29 174.78;
Yerevan 40.18 44.51; Zagreb 45.81 15.98; Zurich 47.37 8.54
"""


def _read(line: str) -> Place:
    name, lat, lng = line.strip().rsplit(" ", 2)
    return Place(name, float(lat), float(lng))


PLACES = tuple(_read(line) for line in _LINES.split(";"))
_BY_NAME = {place.name.lower(): place for place in PLACES}


@cache
def _pattern() -> re.Pattern[str]:
    """Longer names come first, to match "New York" before "York"."""
    names = sorted(_BY_NAME, key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")


def places_in(text: str) -> list[Place]:
    """Return the cities named in a sentence, in order, without repeats; São Paulo is Sao Paulo."""
    letters = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    found = dict.fromkeys(_pattern().findall(plain))
    return [_BY_NAME[name] for name in found]
