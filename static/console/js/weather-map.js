/** <weather-map>: a place on a map, which needs no network for the coastlines and takes tiles when it has one. */

const ZOOM = 5 // a country and its neighbours: the coast is coarse, and the weather is not a street's
const ZOOM_LIMITS = [1, 12]
const MARKER_RADIUS = 7 // pixels
const LAND = "Natural Earth"
const TILES = '&copy; <a href="https://www.openstreetmap.org/copyright">OpenStreetMap contributors</a>'
const NIGHT = "invert(1) hue-rotate(180deg) brightness(0.9) contrast(0.9)" // makes a day's tiles fit a dark page
const WEATHER = 'Weather data by <a href="https://open-meteo.com/">Open-Meteo</a>'

let loading = null // the promise of Leaflet, shared by all maps
let outline = null // the promise of the land, likewise

/**
 * `<weather-map data-lat data-lng data-location data-leaflet data-leaflet-css data-land data-tiles>`; the addresses of
 * Leaflet, its style sheet and the land outline come from the template, which knows the static files' names.
 * Without `data-tiles` there are no tiles.
 */
class WeatherMap extends HTMLElement {
  static observedAttributes = ["data-lat", "data-lng", "data-location"]

  #map = null
  #marker = null
  #land = null
  #dark = matchMedia("(prefers-color-scheme: dark)")
  #paint = () => this.#repaint()
  #theme = new MutationObserver(this.#paint)
  #size = new ResizeObserver(() => this.#map?.invalidateSize({ animate: false }))

  async connectedCallback() {
    this.#sayWhere()
    try {
      loading ??= load(this.dataset.leaflet, this.dataset.leafletCss)
      await loading
    } catch {
      loading = null // the next map tries again
      return // the words stay
    }
    if (this.isConnected && !this.#map) this.#build()
  }

  disconnectedCallback() {
    this.#dark.removeEventListener("change", this.#paint)
    this.#theme.disconnect()
    this.#size.disconnect()
    this.#map?.remove()
    this.#map = this.#marker = this.#land = null
  }

  attributeChangedCallback() {
    if (this.#map) this.#show()
    else if (this.isConnected) this.#sayWhere()
  }

  get #place() {
    return [Number(this.dataset.lat), Number(this.dataset.lng)]
  }

  get #words() {
    const [lat, lng] = this.#place
    const coordinates = `${Math.abs(lat).toFixed(2)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lng).toFixed(2)}° ${lng < 0 ? "W" : "E"}`
    return this.dataset.location ? `${this.dataset.location}: ${coordinates}` : coordinates
  }

  #sayWhere() {
    this.textContent = this.#words
  }

  #build() {
    const { L } = window
    if (getComputedStyle(this).display === "inline") this.style.display = "block"
    const frame = document.createElement("div")
    this.replaceChildren(frame)
    frame.style.blockSize = "100%"
    if (frame.clientHeight === 0) frame.style.blockSize = "220px"
    frame.style.isolation = "isolate" // Leaflet's z-indexes stay inside
    const [minZoom, maxZoom] = ZOOM_LIMITS
    this.#map = L.map(frame, { scrollWheelZoom: false, minZoom, maxZoom, worldCopyJump: true })
    this.#map.setView(this.#place, ZOOM)
    this.#map.attributionControl.setPrefix(false).addAttribution(LAND).addAttribution(WEATHER)
    this.#map.createPane("land").style.zIndex = "150" // below the tiles
    if (this.dataset.tiles) this.#tiles(L)
    this.#marker = L.circleMarker([0, 0], { radius: MARKER_RADIUS, weight: 2, fillOpacity: 0.9 }).addTo(this.#map)
    this.#marker.bindTooltip("", { direction: "top", offset: [0, -MARKER_RADIUS] })
    this.#drawLand(L)
    this.#show()
    this.#paint()
    this.#dark.addEventListener("change", this.#paint)
    this.#theme.observe(document.documentElement, { attributes: true })
    this.#size.observe(this)
  }

  /** The tiles come on top where they can be had; where they cannot, their place stays clear for the outline. */
  #tiles(L) {
    const tiles = L.tileLayer(this.dataset.tiles, { maxZoom: ZOOM_LIMITS[1], referrerPolicy: "strict-origin" })
    tiles.on("tileload", () => this.#map?.attributionControl.addAttribution(TILES))
    tiles.addTo(this.#map)
  }

  async #drawLand(L) {
    outline ??= fetch(this.dataset.land).then((response) => response.json())
    const map = this.#map
    try {
      const land = await outline
      if (map !== this.#map) return
      this.#land = L.geoJSON(land, { pane: "land", interactive: false }).addTo(map)
      this.#paint()
    } catch {
      outline = null // a map without coastlines still shows the place and may have tiles
    }
  }

  #show() {
    this.#map.setView(this.#place, this.#map.getZoom(), { animate: false })
    const words = document.createElement("span") // an element, because Leaflet takes a string for HTML
    words.textContent = this.#words
    this.#marker.setLatLng(this.#place).setTooltipContent(words)
    this.#map.getContainer().setAttribute("role", "application")
    this.#map.getContainer().setAttribute("aria-label", `Map of ${this.#words}`)
  }

  #repaint() {
    if (!this.#map) return
    const style = getComputedStyle(this)
    const colour = (name, otherwise) => style.getPropertyValue(name).trim() || otherwise
    const ink = style.color
    this.#map.getPane("tilePane").style.filter = isLight(ink) ? NIGHT : ""
    this.#map.getContainer().style.background = colour("--map-sea", `color-mix(in srgb, ${ink} 8%, transparent)`)
    const land = colour("--map-land", `color-mix(in srgb, ${ink} 22%, transparent)`)
    const coast = colour("--map-coast", `color-mix(in srgb, ${ink} 45%, transparent)`)
    this.#land?.setStyle({ color: coast, weight: 1, fillColor: land, fillOpacity: 1 })
    this.#marker.setStyle({ color: colour("--surface", "Canvas"), fillColor: colour("--received", "LinkText") })
  }
}

/** Whether a colour, in whatever notation, is nearer to white than to black: light ink means a dark page. */
function isLight(colour) {
  const pen = new OffscreenCanvas(1, 1).getContext("2d")
  pen.fillStyle = colour
  pen.fillRect(0, 0, 1, 1)
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data
  return 0.299 * red + 0.587 * green + 0.114 * blue > 127
}

/** Leaflet is a classic script: it is fetched once, when the first map appears. */
function load(script, styleSheet) {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: styleSheet })
  const code = Object.assign(document.createElement("script"), { src: script })
  return Promise.all(
    [link, code].map((element) => {
      const arrived = new Promise((resolve, reject) => {
        element.onload = resolve
        element.onerror = () => reject(new Error(`${element.href ?? element.src} could not be loaded`))
      })
      document.head.append(element)
      return arrived
    }),
  )
}

customElements.define("weather-map", WeatherMap)
