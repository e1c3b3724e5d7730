"""What the sample businesses are made of. Every name is invented; e-mail addresses are on reserved
domains (RFC 2606, RFC 6761) and telephone numbers in the ranges that Arcep keeps for fiction."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Trade:
    """What a business sells. `works`: what, lowest and highest price without tax, in euros."""

    vat_rates: tuple[str, ...]
    works: tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class BusinessSeed:
    """One sample business. `towns` and `family`: where its customers live, one family's name.
    `whatsapp`: the levels (document, policy, level) that it sends by WhatsApp."""

    id: str
    name: str
    slug: str
    zone: str
    subdivision: str | None
    phone: str
    address: str
    trade: Trade
    towns: tuple[tuple[str, str], ...]
    family: str
    settings: dict[str, object]
    whatsapp: frozenset[tuple[str, str, int]] = frozenset()


CARPENTRY = Trade(
    vat_rates=("0.10", "0.20"),
    works=(
        ("Pose de trois fenêtres en chêne", 1900, 4200),
        ("Escalier quart tournant en hêtre", 2800, 6500),
        ("Remplacement d'une porte d'entrée", 900, 2600),
        ("Dressing sur mesure", 1400, 3800),
        ("Réparation de volets battants", 180, 640),
        ("Terrasse en mélèze", 2200, 7400),
        ("Ajustage et rabotage de portes", 90, 320),
    ),
)
MASONRY = Trade(
    vat_rates=("0.10", "0.20"),
    works=(
        ("Ouverture d'un mur porteur", 2400, 6800),
        ("Ravalement d'une façade", 5200, 14800),
        ("Dalle béton de garage", 1800, 4600),
        ("Reprise d'enduit", 350, 1400),
        ("Muret en pierre sèche", 800, 3100),
        ("Scellement d'un portail", 240, 780),
    ),
)
AGENCY = Trade(
    vat_rates=("0.20",),
    works=(
        ("Création d'un site vitrine", 2400, 6900),
        ("Forfait de maintenance mensuel", 120, 480),
        ("Charte graphique", 1800, 5200),
        ("Campagne d'annonces, gestion", 450, 1900),
        ("Reportage photographique", 380, 1250),
        ("Refonte d'une boutique en ligne", 5800, 18500),
        ("Atelier de cadrage, deux jours", 1300, 2400),
    ),
)
# Lower rates in La Réunion: code général des impôts, article 296.
AIR_CONDITIONING = Trade(
    vat_rates=("0.085", "0.021"),
    works=(
        ("Pose d'un climatiseur bi-split", 1250, 2900),
        ("Entretien annuel de climatisation", 90, 260),
        ("Chauffe-eau solaire 300 litres", 2600, 4400),
        ("Dépannage de chambre froide", 210, 1150),
        ("Recharge de fluide et contrôle d'étanchéité", 140, 390),
        ("Ventilation d'un restaurant", 2100, 6300),
    ),
)

LYON = (
    ("69100", "Villeurbanne"),
    ("69003", "Lyon"),
    ("69120", "Vaulx-en-Velin"),
    ("69330", "Meyzieu"),
    ("38200", "Vienne"),
    ("01700", "Miribel"),
    ("69400", "Villefranche-sur-Saône"),
)
PARIS = (
    ("75011", "Paris"),
    ("93100", "Montreuil"),
    ("92120", "Montrouge"),
    ("94200", "Ivry-sur-Seine"),
    ("75019", "Paris"),
    ("78000", "Versailles"),
)
REUNION = (
    ("97400", "Saint-Denis"),
    ("97410", "Saint-Pierre"),
    ("97460", "Saint-Paul"),
    ("97440", "Saint-André"),
    ("97434", "Saint-Gilles-les-Bains"),
    ("97430", "Le Tampon"),
)

BUSINESSES = (
    BusinessSeed(
        id="B1",
        name="Menuiserie Perrin & Fils",
        slug="menuiserie-perrin",
        zone="Europe/Paris",
        subdivision=None,
        phone="+33465710018",
        address="14 rue des Charmettes, 69100 Villeurbanne",
        trade=CARPENTRY,
        towns=LYON,
        family="Dupont",
        settings={"group_by_customer": False, "late_penalty_rate": "12.15"},
    ),
    BusinessSeed(
        id="B2",
        name="Agence Belleville",
        slug="agence-belleville",
        zone="Europe/Paris",
        subdivision=None,
        phone="+33199005142",
        address="8 passage des Tourelles, 75020 Paris",
        trade=AGENCY,
        towns=PARIS,
        family="Marceau",
        settings={"group_by_customer": True, "min_interval_days": 5},
        whatsapp=frozenset({("quote", "standard", 1)}),
    ),
    BusinessSeed(
        id="B3",
        name="Clim Océan Indien",
        slug="clim-ocean-indien",
        zone="Indian/Reunion",
        subdivision="974",
        phone="+33639980274",
        address="27 rue Jules-Auber, 97400 Saint-Denis",
        trade=AIR_CONDITIONING,
        towns=REUNION,
        family="Hoarau",
        settings={"group_by_customer": False, "window_start": "07:30", "window_end": "16:00"},
        whatsapp=frozenset(
            {("invoice", "standard", 1), ("invoice", "ferme", 1), ("quote", "standard", 1)}
        ),
    ),
    # The first one's twin: the same ids and numbers, and nothing else in common.
    BusinessSeed(
        id="B4",
        name="Maçonnerie Da Costa",
        slug="maconnerie-da-costa",
        zone="Europe/Paris",
        subdivision="57",
        phone="+33353010963",
        address="3 quai Paul-Wiltzer, 57000 Metz",
        trade=MASONRY,
        towns=(
            ("57000", "Metz"),
            ("57100", "Thionville"),
            ("54000", "Nancy"),
            ("57600", "Forbach"),
        ),
        family="Kieffer",
        settings={"group_by_customer": False},
    ),
)
TWINS = ("B1", "B4")

# document, policy, level, anchor, delay in days, tone, attach_pdf
LEVELS = (
    ("invoice", "standard", 1, "due", -3, "rappel", False),
    ("invoice", "standard", 2, "due", 5, "rappel", False),
    ("invoice", "standard", 3, "due", 15, "ferme", False),
    ("invoice", "standard", 4, "due", 30, "mise_en_demeure", True),
    ("invoice", "ferme", 1, "due", 15, "ferme", False),
    ("invoice", "ferme", 2, "due", 30, "mise_en_demeure", True),
    ("invoice", "contentieux", 1, "due", 30, "mise_en_demeure", True),
    ("quote", "standard", 1, "issue", 7, "rappel", False),
    ("quote", "standard", 2, "due", -3, "ferme", False),
    ("quote", "ferme", 1, "issue", 15, "ferme", False),
)


def _list(words: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(words.split(separator))


FIRST_NAMES = _list(
    "Amélie Baptiste Camille Clément Élodie François Gaëlle Hélène Inès Jérôme Karim Léa Loïc "
    "Maëlys Mathieu Noémie Océane Pierre-Yves Rachid Sébastien Thaïs Valérie Yannick Zoé"
)
LAST_NAMES = _list(
    "Bernard Boyer Chevalier Da-Silva Delattre Dubois Fontaine Garnier Grondin Hoarau Jacquet "
    "Lambert Lefèvre Mazoyer Marchand Moreau Nguyen Payet Picard Renaud Rousseau Traoré Vasseur"
)
TRADES = _list(
    "Boulangerie Garage Pharmacie Librairie Cabinet Brasserie Fromagerie Imprimerie Transports "
    "Pressing Clinique Jardinerie Auberge Serrurerie Optique Fleuriste Carrosserie Agence Studio"
)
COMPANY_NAMES = _list(
    "des Quatre Vents|du Parc|Saint-Martin|de l'Écluse|des Tilleuls|Lumière|du Vieux Pont|Bellevue|"
    "de la Gare|des Remparts|Confluence|du Moulin|Sainte-Anne|des Flamboyants|du Lagon|Mistral|"
    "de l'Avenir|Horizon|Belle Étoile|des Lices|du Marché|Montplaisir|La Fabrique|des Alizés",
    separator="|",
)
LEGAL_FORMS = ("SARL", "SAS", "EURL", "SASU", "")
STREETS = _list(
    "rue de la République|avenue Jean-Jaurès|rue Pasteur|place de l'Église|chemin des Vignes|"
    "rue du Four|boulevard Victor-Hugo|impasse des Lilas|rue Émile-Zola|allée des Tulipiers",
    separator="|",
)
