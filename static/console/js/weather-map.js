/** <weather-map>: a place on a map, which needs no network for the coastlines and takes tiles when it has one. */

const ZOOM = 4; // a country among its neighbours; nearer, the outline would be too coarse to recognise
const ZOOM_LIMITS = [1, 12];
// Colours are the page's custom properties where it has them, and follow its theme by themselves.
const FRAME = {
  background: "var(--map-sea, color-mix(in srgb, currentColor 7%, transparent))",
  blockSize: "100%",
  minBlockSize: "180px", // where no style sheet says how high a map is
  isolation: "isolate", // Leaflet's z-indexes stay inside
};
const GROUND = {
  color: "var(--map-coast, color-mix(in srgb, currentColor 45%, transparent))",
  fillColor: "var(--map-land, color-mix(in srgb, currentColor 20%, transparent))",
  fillOpacity: 1,
  weight: 1, // pixel
};
const MARKER = {
  color: "Canvas",
  fillColor: "var(--received, LinkText)",
  fillOpacity: 1,
  weight: 2, // pixels
  radius: 7, // pixels
};
const BUTTON = { background: "Canvas", color: "CanvasText" };
const PRINT = { background: "color-mix(in srgb, Canvas 85%, transparent)", color: "inherit" };
const LAND = "Natural Earth";
const TILES = '&copy; <a href="https://www.openstreetmap.org/copyright">OpenStreetMap contributors</a>';
const NIGHT = "invert(1) hue-rotate(180deg) brightness(0.9) contrast(0.9)"; // makes a day's tiles fit a dark page
const WEATHER = 'Weather data by <a href="https://open-meteo.com/">Open-Meteo</a>'; // CC BY 4.0

let loading = null; // the promise of Leaflet, shared by all maps
let outline = null; // the promise of the land, likewise

/**
 * `<weather-map data-lat data-lng data-location data-leaflet data-leaflet-css data-land data-tiles>`; the addresses of
 * Leaflet, its style sheet and the land outline come from the template, which knows the static files' names.
 * Without `data-tiles` there are no tiles.
 */
class WeatherMap extends HTMLElement {
  static observedAttributes = ["data-lat", "data-lng", "data-location"];

  #map = null;
  #marker = null;
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #repaint = () => this.#paint();
  #theme = new MutationObserver(this.#repaint);
  #size = new ResizeObserver(() => this.#map?.invalidateSize({ animate: false }));

  async connectedCallback() {
    this.#sayWhere();
    try {
      loading ??= load(this.dataset.leaflet, this.dataset.leafletCss);
      await loading;
    } catch {
      loading = null; // the next map tries again
      return; // the words stay
    }
    if (this.isConnected && !this.#map) this.#build();
  }

  disconnectedCallback() {
    this.#dark.removeEventListener("change", this.#repaint);
    this.#theme.disconnect();
    this.#size.disconnect();
    this.#map?.remove();
    this.#map = this.#marker = null;
  }

  attributeChangedCallback() {
    if (this.#map) this.#show();
    else if (this.isConnected) this.#sayWhere();
  }

  get #place() {
    return [Number(this.dataset.lat), Number(this.dataset.lng)];
  }

  get #words() {
    const [lat, lng] = this.#place;
    const degrees = (angle, positive, negative) => `${Math.abs(angle).toFixed(2)}° ${angle < 0 ? negative : positive}`;
    const coordinates = `${degrees(lat, "N", "S")}, ${degrees(lng, "E", "W")}`;
    return this.dataset.location ? `${this.dataset.location}: ${coordinates}` : coordinates;
  }

  #sayWhere() {
    this.textContent = this.#words;
  }

  #build() {
    const { L } = window;
    if (getComputedStyle(this).display === "inline") this.style.display = "block";
    const frame = document.createElement("div");
    this.replaceChildren(frame);
    Object.assign(frame.style, FRAME);
    const [minZoom, maxZoom] = ZOOM_LIMITS;
    this.#map = L.map(frame, { scrollWheelZoom: false, minZoom, maxZoom, worldCopyJump: true });
    this.#map.setView(this.#place, ZOOM);
    this.#map.attributionControl.setPrefix(false).addAttribution(LAND).addAttribution(WEATHER);
    this.#map.createPane("land").style.zIndex = "150"; // below the tiles
    for (const control of frame.querySelectorAll(".leaflet-control-zoom a")) Object.assign(control.style, BUTTON);
    Object.assign(this.#map.attributionControl.getContainer().style, PRINT);
    if (this.dataset.tiles) this.#tiles(L);
    this.#marker = L.circleMarker(this.#place, MARKER).addTo(this.#map);
    this.#marker.bindTooltip("", { direction: "top", offset: [0, -MARKER.radius] });
    this.#drawLand(L);
    this.#show();
    this.#paint();
    this.#dark.addEventListener("change", this.#repaint);
    this.#theme.observe(document.documentElement, { attributes: true });
    this.#size.observe(this);
  }

  /** Tiles come on top where they can be had; where they cannot, the outline shows through. */
  #tiles(L) {
    const tiles = L.tileLayer(this.dataset.tiles, { maxZoom: ZOOM_LIMITS[1], referrerPolicy: "strict-origin" });
    tiles.on("tileload", () => this.#map?.attributionControl.addAttribution(TILES));
    tiles.addTo(this.#map);
  }

  async #drawLand(L) {
    outline ??= fetch(this.dataset.land).then((response) => response.json());
    const map = this.#map;
    try {
      const land = await outline;
      if (map !== this.#map) return;
      L.geoJSON(land, { pane: "land", interactive: false, style: GROUND }).addTo(map);
    } catch {
      outline = null; // a map without coastlines still shows the place and may have tiles
    }
  }

  #show() {
    this.#map.setView(this.#place, this.#map.getZoom(), { animate: false });
    const words = document.createElement("span"); // an element, because Leaflet takes a string for HTML
    words.textContent = this.#words;
    this.#marker.setLatLng(this.#place).setTooltipContent(words);
    this.#map.getContainer().setAttribute("role", "application");
    this.#map.getContainer().setAttribute("aria-label", `Map of ${this.#words}`);
  }

  /** Colours follow the theme by themselves; only the tiles, which are pictures, have to be turned to night. */
  #paint() {
    this.#map.getPane("tilePane").style.filter = isLight(getComputedStyle(this).color) ? NIGHT : "";
  }
}

/** Whether a colour, in whatever notation, is nearer to white than to black: light ink means a dark page. */
function isLight(colour) {
  const pen = new OffscreenCanvas(1, 1).getContext("2d");
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
  return 0.299 * red + 0.587 * green + 0.114 * blue > 127;
}

/** Leaflet is a classic script: it is fetched once, when the first map appears. */
function load(script, styleSheet) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: styleSheet });
  const code = Object.assign(document.createElement("script"), { src: script });
  return Promise.all(
    [link, code].map((element) => {
      const arrived = new Promise((resolve, reject) => {
        element.onload = resolve;
        element.onerror = () => reject(new Error(`${element.href ?? element.src} could not be loaded`));
      });
      document.head.append(element);
      return arrived;
    }),
  );
}

customElements.define("weather-map", WeatherMap);
